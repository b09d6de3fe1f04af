//! `kinsight serve`: the search server and its web page.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use kinsight_model::ModelRef;
use kinsight_server::{CollectionSpec, Keys, Limits, LogFormat, Server, ServerSettings, start_log};

use crate::context::{ComputeArgs, Context as Computing};

const EXAMPLES: &str = "\
Examples:
  Serve an index with its model, on this machine only:
    kinsight serve --index photos.index

  Serve a folder of images; changes since the last start are indexed first:
    kinsight serve --images photos/ --run runs/first

  Serve several collections to other machines, protected by keys:
    KINSIGHT_READ_KEY=... KINSIGHT_WRITE_KEY=... \\
        kinsight serve --index shoes=shoes.index --index bags=bags.index --address 0.0.0.0:7878 --log json

  Let clients create collections with the models that are served:
    kinsight serve --index shoes.index --collections made/
    curl -X PUT http://127.0.0.1:7878/v1/collections/summer-sale

API keys: KINSIGHT_READ_KEY and KINSIGHT_WRITE_KEY hold one key each; --keys FILE holds any number, one per line, as
`read KEY` or `write KEY`.";

/// Arguments of `serve`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub struct ServeArgs {
    /// Index to serve, as PATH or NAME=PATH; can be repeated
    #[arg(long, value_name = "[NAME=]PATH", required_unless_present_any = ["images", "collections"])]
    pub index: Vec<String>,
    /// Folder of images to index first, into --index or the folder's name with .index
    #[arg(long)]
    pub images: Option<PathBuf>,
    /// Folder in which clients can create collections (PUT /v1/collections/NAME); existing ones are served, too
    #[arg(long, value_name = "FOLDER")]
    pub collections: Option<PathBuf>,
    /// Run with the index's fine-tuning [default: the one stored in the index]
    #[arg(long)]
    pub run: Option<PathBuf>,
    /// Backbone [default: the one stored in the run or the index]
    #[arg(long)]
    pub backbone: Option<String>,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:7878")]
    pub address: SocketAddr,
    /// File of API keys
    #[arg(long)]
    pub keys: Option<PathBuf>,
    /// Let anyone who can reach the address read; writing still needs a key
    #[arg(long)]
    pub public: bool,
    /// Largest upload, in MiB
    #[arg(long, default_value_t = 20)]
    pub max_body_mb: usize,
    /// Largest image, in millions of pixels
    #[arg(long, default_value_t = 50)]
    pub max_megapixels: u64,
    /// Concurrent requests; further ones get 503
    #[arg(long, default_value_t = 64)]
    pub max_requests: usize,
    /// Largest batch of images through the model
    #[arg(long, default_value_t = 32)]
    pub max_batch: usize,
    /// Seconds a request may take once its body has arrived
    #[arg(long, default_value_t = 30)]
    pub timeout: u64,
    /// Format of the request log
    #[arg(long, value_enum, default_value = "text")]
    pub log: LogArg,
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// `--log`
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum LogArg {
    /// Text, one line per request
    Text,
    /// One JSON object per line
    Json,
    /// No log
    Off,
}

/// Serves until Ctrl-C or SIGTERM.
pub fn run(arguments: ServeArgs) -> Result<()> {
    let ServeArgs {
        index,
        images,
        collections,
        run,
        backbone,
        address,
        keys: key_file,
        public,
        max_body_mb,
        max_megapixels,
        max_requests,
        max_batch,
        timeout,
        log,
        compute,
    } = arguments;
    let context = compute.resolve()?;
    if !context.on_cpu {
        bail!(
            "the server computes on the CPU alone: images of different fine-tunings share a batch there\nhint: leave --device \
             out; `kinsight index` and `kinsight embed` compute on any device"
        );
    }
    let specs = specs(&index, images.as_deref(), ModelRef { run, backbone }, &context)?;
    let defaults = Limits::default();
    let settings = ServerSettings {
        address,
        keys: keys(key_file.as_deref())?,
        limits: Limits {
            max_body_bytes: max_body_mb << 20,
            // Room for a few bodies at once, however large each may be.
            max_upload_memory_bytes: defaults.max_upload_memory_bytes.max(4 * (max_body_mb << 20)),
            max_pixels: max_megapixels * 1_000_000,
            max_requests,
            max_batch,
            work_timeout: Duration::from_secs(timeout.max(1)),
            ..defaults
        },
        public,
        collections,
        compute: context.compute,
    };
    start_log(match log {
        LogArg::Text => LogFormat::Text,
        LogArg::Json => LogFormat::Json,
        LogArg::Off => LogFormat::Off,
    });
    let server = Server::start(settings, &specs)?;
    let (address, stopper) = (server.address()?, server.stopper());
    ctrlc::set_handler(move || stopper.stop()).context("cannot listen for Ctrl-C")?;
    println!("serving {} on http://{address} (stop with Ctrl-C)", server.collections().join(", "));
    server.run();
    Ok(())
}

fn keys(file: Option<&Path>) -> Result<Keys> {
    let mut keys = Keys::default();
    if let Ok(key) = std::env::var("KINSIGHT_READ_KEY") {
        keys.add_read(&key).context("KINSIGHT_READ_KEY cannot be used")?;
    }
    if let Ok(key) = std::env::var("KINSIGHT_WRITE_KEY") {
        keys.add_write(&key).context("KINSIGHT_WRITE_KEY cannot be used")?;
    }
    if let Some(path) = file {
        keys.add_file(path)?;
    }
    Ok(keys)
}

/// What to serve; `images` are indexed first.
fn specs(
    indexes: &[String],
    images: Option<&Path>,
    model: ModelRef,
    context: &Computing,
) -> Result<Vec<CollectionSpec>> {
    let mut places: Vec<(Option<String>, PathBuf)> = indexes.iter().map(|text| named(text)).collect();
    if let Some(images) = images {
        if places.len() > 1 {
            bail!("--images needs a single --index, found {}", places.len());
        }
        if places.is_empty() {
            places.push((None, beside(images)));
        }
        super::index::index_folder(images, &places[0].1, model.clone(), context)?;
    } else if places.len() > 1 && model != ModelRef::default() {
        bail!("--run and --backbone need a single --index, found {}; each index stores its model", places.len());
    }
    let spec = |(name, index): (Option<String>, PathBuf)| CollectionSpec {
        name: name.unwrap_or_else(|| name_of(&index)),
        index,
        run: model.run.clone(),
        backbone: model.backbone.clone(),
        compute: context.compute,
    };
    Ok(places.into_iter().map(spec).collect())
}

/// `NAME=PATH`, or a path alone.
fn named(text: &str) -> (Option<String>, PathBuf) {
    match text.split_once('=') {
        Some((name, path)) if !name.contains(['/', '\\', '.']) => (Some(name.to_string()), path.into()),
        _ => (None, text.into()),
    }
}

/// `photos/` to `photos.index`.
fn beside(images: &Path) -> PathBuf {
    let mut name = images.file_name().unwrap_or(images.as_os_str()).to_owned();
    name.push(".index");
    images.with_file_name(name)
}

/// The name in URLs of the index at `path`: `My Photos.index` to `my-photos`.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().to_lowercase();
    let plain: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(64).collect();
    let name = plain.trim_matches('-').to_string();
    if name.is_empty() { "images".to_string() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_has_a_name_that_can_stand_in_a_url() {
        for (path, expected) in [
            ("photos.index", "photos"),
            ("data/My Photos 2.index", "my-photos-2"),
            ("Äpfel", "pfel"),
            ("..", "images"),
            ("a_b-c", "a_b-c"),
        ] {
            assert_eq!(name_of(Path::new(path)), expected, "{path}");
        }
        assert_eq!(named("shoes=/data/shoes"), (Some("shoes".into()), "/data/shoes".into()));
        assert_eq!(named("/data/a=b"), (None, "/data/a=b".into()));
        assert_eq!(beside(Path::new("data/photos/")), Path::new("data/photos.index"));
    }
}
