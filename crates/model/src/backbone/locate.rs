//! From what a user typed to a file of weights: a path, a known name, a hub repository; on disk, in the Hugging Face
//! cache, or downloaded into it.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache, Repo};

use super::registry::{RegistryEntry, find, registry};
use crate::error::ModelError;

/// Where the weights of a backbone are.
#[derive(Clone, Debug)]
pub enum Location {
    /// A safetensors file, with the registry entry it belongs to if that is known.
    File(PathBuf, Option<RegistryEntry>),
    /// Inside the program.
    BuiltIn(RegistryEntry),
}

/// The weights of a repository, and the files that come with them.
const WEIGHTS: &str = "model.safetensors";
const BESIDE: [&str; 2] = ["config.json", "preprocessor_config.json"];

/// Finds the weights of `backbone`: an existing file, a folder with `model.safetensors` (a snapshot of a hub
/// repository), a registry name, or a hub repository as `owner/name`.
///
/// A registry name is looked for as `NAME.safetensors` in `KINSIGHT_WEIGHTS` (a folder), then in the Hugging Face cache, and is
/// then downloaded into it.
///
/// # Errors
/// [`ModelError::Backbone`] says what was tried and which file to put where.
pub fn locate(backbone: &str) -> Result<Location, ModelError> {
    let path = Path::new(backbone);
    if path.is_file() {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().to_string()).unwrap_or_default();
        return Ok(Location::File(path.to_path_buf(), find(&stem)));
    }
    if path.is_dir() {
        let inside = path.join(WEIGHTS);
        return match inside.is_file() {
            true => Ok(Location::File(inside, None)),
            false => Err(ModelError::Backbone {
                message: format!("there is no {WEIGHTS} in the folder {backbone}"),
                hint: format!(
                    "a folder holds what a hub repository does: {WEIGHTS} in one piece, best with {} next to it",
                    BESIDE.join(" and ")
                ),
            }),
        };
    }
    let Some(entry) = find(backbone) else {
        return match is_repository(backbone) {
            true => of_repository(backbone),
            false => Err(unknown(backbone)),
        };
    };
    let Some(repository) = entry.repository else { return Ok(Location::BuiltIn(entry)) };
    if let Some(folder) = std::env::var_os("KINSIGHT_WEIGHTS") {
        let file = Path::new(&folder).join(format!("{}.safetensors", entry.name));
        if file.is_file() {
            return Ok(Location::File(file, Some(entry)));
        }
    }
    let file = of_hub(repository).map_err(|reason| ModelError::Backbone {
        message: format!("the weights of {} are not on this machine and cannot be downloaded: {reason}", entry.name),
        hint: format!(
            "download {WEIGHTS} from the hub repository {repository} on another machine; then give its path with --backbone, or save it as {}.safetensors in a folder and set KINSIGHT_WEIGHTS to that folder",
            entry.name
        ),
    })?;
    Ok(Location::File(file, Some(entry)))
}

/// Whether `text` looks like `owner/name` on the hub.
fn is_repository(text: &str) -> bool {
    let well_formed =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let hidden = text.starts_with('.') || text.ends_with(".safetensors");
    !hidden && text.split_once('/').is_some_and(|(owner, name)| well_formed(owner) && well_formed(name))
}

/// Weights of a repository that need not be in the registry.
fn of_repository(repository: &str) -> Result<Location, ModelError> {
    let entry = registry().into_iter().find(|entry| entry.repository == Some(repository));
    let file = of_hub(repository).map_err(|reason| ModelError::Backbone {
        message: format!("the hub repository {repository} is not on this machine and cannot be downloaded: {reason}"),
        hint: format!(
            "download its {WEIGHTS} and {} on another machine into one folder, and give that folder with --backbone",
            BESIDE.join(" and ")
        ),
    })?;
    Ok(Location::File(file, entry))
}

/// The weights of `repository` in the Hugging Face cache, downloaded if they are not there.
fn of_hub(repository: &str) -> Result<PathBuf, String> {
    let cache = Cache::from_env();
    match cache.repo(Repo::model(repository.to_string())).get(WEIGHTS) {
        Some(file) => Ok(file),
        None => download(&cache, repository),
    }
}

fn download(cache: &Cache, repository: &str) -> Result<PathBuf, String> {
    if std::env::var_os("HF_HUB_OFFLINE").is_some_and(|value| value != "0") {
        return Err("HF_HUB_OFFLINE is set".into());
    }
    let api = ApiBuilder::from_cache(cache.clone()).with_progress(true).build().map_err(|e| e.to_string())?;
    let remote = api.model(repository.to_string());
    for name in BESIDE {
        // Not every repository has both.
        let _ = remote.get(name);
    }
    remote.get(WEIGHTS).map_err(|e| e.to_string())
}

fn unknown(backbone: &str) -> ModelError {
    let names: Vec<&str> = registry().iter().map(|entry| entry.name).collect();
    let is_path = backbone.contains('/') || backbone.ends_with(".safetensors");
    let what = if is_path { "no file" } else { "neither a file nor a known backbone:" };
    ModelError::Backbone {
        message: format!("{what} {backbone}"),
        hint: format!(
            "give the path of a safetensors file, a folder with {WEIGHTS}, a hub repository as owner/name, or one of {}",
            names.join(", ")
        ),
    }
}
