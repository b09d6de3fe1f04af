//! Why a server could not start or run.

use std::net::SocketAddr;
use std::path::PathBuf;

use kinsight_index::IndexError;
use kinsight_model::ModelError;

/// A failure of the server itself; what goes wrong in a request is that request's answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The server's threads cannot be started.
    #[error("cannot start the server's threads")]
    Threads(#[source] std::io::Error),
    /// An address that others can reach, without a key.
    #[error("{address} can be reached from other machines, but no API key is set")]
    Unprotected {
        /// The address asked for.
        address: SocketAddr,
    },
    /// A name that cannot stand in a URL.
    #[error("the collection name {name:?} is not 1 to 64 of the characters a-z, 0-9, - and _")]
    CollectionName {
        /// The name as given.
        name: String,
    },
    /// Two collections of one name.
    #[error("two collections are named {name:?}")]
    SameName {
        /// The name.
        name: String,
    },
    /// The folder of collections cannot be used.
    #[error("cannot use the collections folder {}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// No collection to serve, and none whose model a new one could have.
    #[error("no collections to serve")]
    Nothing,
    /// A file of keys that cannot be read or understood.
    #[error("cannot read API keys from {}: {reason}", .path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A key too short to keep anyone out.
    #[error("an API key has {found} characters, expected at least {expected} printable ones without spaces")]
    WeakKey {
        /// Length of the key.
        found: usize,
        /// Least length.
        expected: usize,
    },
    /// An index cannot be opened.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A model cannot be loaded.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl ServerError {
    /// What the user can do about it, if there is anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Listen { address, source } if source.kind() == std::io::ErrorKind::AddrInUse => {
                Some(format!("another program uses port {}; choose another with --address", address.port()))
            }
            Self::Unprotected { .. } => Some(
                "set KINSIGHT_READ_KEY and KINSIGHT_WRITE_KEY, or use --keys FILE; --public allows reading without a key".to_string(),
            ),
            Self::WeakKey { .. } => Some("create one with: openssl rand -hex 24".to_string()),
            Self::Keys { .. } => {
                Some("each line holds `read KEY` or `write KEY`; a line that starts with # is a comment".to_string())
            }
            Self::Nothing => Some(
                "serve at least one with --index or --images; new collections use the model of an existing one"
                    .to_string(),
            ),
            Self::Index(error) => error.hint(),
            Self::Model(error) => error.hint(),
            _ => None,
        }
    }
}
