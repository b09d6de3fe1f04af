//! What can go wrong between a checkpoint and an embedding.

use std::path::PathBuf;

use thiserror::Error;

/// Errors of this crate; [`ModelError::hint`] says what the user can do.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The architecture's numbers contradict each other.
    #[error("invalid model configuration: {message}")]
    Config {
        /// Which number, and what was expected.
        message: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {path}")]
    Io {
        /// `read`, `write`, `map`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be written or mapped.
    #[error(transparent)]
    File(#[from] kinsight_files::FileError),
    /// A file is not valid safetensors.
    #[error("{path} is not a valid safetensors file: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A `config.json` or the like next to the weights is not valid, or contradicts them.
    #[error("{path}: {reason}")]
    HubFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Tensors of a file do not fit the model; every problem is listed.
    #[error("weights in {path} do not fit the model:\n{}", .problems.join("\n"))]
    Weights {
        /// The file.
        path: PathBuf,
        /// One line a problem: missing, unexpected, or expected and found shape.
        problems: Vec<String>,
    },
    /// A registry name or path that leads nowhere.
    #[error("{message}")]
    Backbone {
        /// What was looked for and where.
        message: String,
        /// Which file to put where; may be empty.
        hint: String,
    },
    /// A model that cannot be written in the format asked for.
    #[error("{message}")]
    Export {
        /// What has no place in it.
        message: String,
        /// What can be done instead; may be empty.
        hint: String,
    },
    /// Neither a run nor a backbone is named.
    #[error("no model is named")]
    NoModel,
    /// A run folder without a fine-tuning.
    #[error("{run} has no finished fine-tuning")]
    Unfinished {
        /// The folder.
        run: PathBuf,
    },
    /// A fine-tuned model belongs to another backbone.
    #[error("the fine-tuning in {path} was trained on backbone {expected}, this backbone is {found}")]
    OtherBackbone {
        /// The fine-tuning.
        path: PathBuf,
        /// Hash of the backbone it was trained on.
        expected: String,
        /// Hash of the backbone given.
        found: String,
    },
    /// The data set could not be read.
    #[error(transparent)]
    Data(#[from] kinsight_data::DataError),
    /// An explanation that does not add up to what the model computes.
    #[error(
        "the embedding's summands differ from it by {difference:.1e} of its length, expected at most {allowed:.1e}"
    )]
    Unexplained {
        /// Length of the difference between the sum of the parts and the embedding, which has length one.
        difference: f64,
        /// The most that rounding may cause.
        allowed: f64,
    },
    /// An input tensor does not fit.
    #[error("images have shape {found}, expected {expected}")]
    Input {
        /// Expected shape in words.
        expected: String,
        /// Found shape.
        found: String,
    },
}

impl ModelError {
    /// What the user can do about it, if there is anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Backbone { hint, .. } | Self::Export { hint, .. } => (!hint.is_empty()).then(|| hint.clone()),
            Self::Weights { .. } => Some(
                "name the backbone these weights belong to (see `kinsight backbones`), or use a ViT from timm or transformers in safetensors"
                    .into(),
            ),
            Self::Config { .. } => Some(
                "fit data.image_size and the method to the backbone; `kinsight backbones` lists their sizes".into(),
            ),
            Self::HubFile { .. } => Some("use the file from the same repository as the weights, or remove it".into()),
            Self::NoModel => Some("name a run with --run, or a backbone with --backbone".into()),
            Self::Unfinished { .. } => Some(
                "finish it with `kinsight train --resume`, or name a run folder: it holds config.toml and \
                 model.safetensors"
                    .into(),
            ),
            Self::OtherBackbone { .. } => Some("use --backbone with the backbone it was trained on".into()),
            Self::Data(error) => error.hint().map(str::to_string),
            Self::File(error) => error.hint().map(str::to_string),
            _ => None,
        }
    }
}
