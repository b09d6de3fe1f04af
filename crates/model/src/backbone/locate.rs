//! From what a user typed to a file of weights: a path, a known file, the Hugging Face cache, or a download.

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

/// Finds the weights of `backbone`: an existing path, or a registry name.
///
/// A name is looked for as `NAME.safetensors` in `KINSIGHT_WEIGHTS` (a folder), then in the Hugging Face cache, and is
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
        let inside = path.join("model.safetensors");
        return match inside.is_file() {
            true => Ok(Location::File(inside, None)),
            false => Err(ModelError::Backbone {
                message: format!("{backbone} is a folder without model.safetensors"),
                hint: String::new(),
            }),
        };
    }
    let Some(entry) = find(backbone) else { return Err(unknown(backbone)) };
    let Some(repository) = entry.repository else { return Ok(Location::BuiltIn(entry)) };
    if let Some(folder) = std::env::var_os("KINSIGHT_WEIGHTS") {
        let file = Path::new(&folder).join(format!("{}.safetensors", entry.name));
        if file.is_file() {
            return Ok(Location::File(file, Some(entry)));
        }
    }
    let cache = Cache::from_env();
    if let Some(file) = cache.repo(Repo::model(repository.to_string())).get("model.safetensors") {
        return Ok(Location::File(file, Some(entry)));
    }
    let file = download(&cache, repository).map_err(|reason| ModelError::Backbone {
        message: format!("the weights of {} are not on this machine and could not be downloaded: {reason}", entry.name),
        hint: format!(
            "fetch model.safetensors of the hub repository {repository} on a machine that can, then either give its \
             path with --backbone, or name it {}.safetensors in a folder and set KINSIGHT_WEIGHTS to that folder",
            entry.name
        ),
    })?;
    Ok(Location::File(file, Some(entry)))
}

fn download(cache: &Cache, repository: &str) -> Result<PathBuf, String> {
    if std::env::var_os("HF_HUB_OFFLINE").is_some_and(|value| value != "0") {
        return Err("HF_HUB_OFFLINE is set".into());
    }
    let api = ApiBuilder::from_cache(cache.clone()).with_progress(true).build().map_err(|e| e.to_string())?;
    api.model(repository.to_string()).get("model.safetensors").map_err(|e| e.to_string())
}

fn unknown(backbone: &str) -> ModelError {
    let names: Vec<&str> = registry().iter().map(|entry| entry.name).collect();
    let is_path = backbone.contains('/') || backbone.ends_with(".safetensors");
    let what = if is_path { "no file" } else { "no file and no known backbone" };
    ModelError::Backbone {
        message: format!("{what} {backbone}"),
        hint: format!("give the path of a safetensors file, or one of {}", names.join(", ")),
    }
}
