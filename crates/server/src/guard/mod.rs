//! What stands between the network and the handlers: keys, origins, load, headers.

mod headers;
mod keys;
mod load;
mod origin;

pub(crate) use headers::safe_headers;
pub(crate) use keys::Access;
pub use keys::Keys;
pub(crate) use load::{limit_load, with_deadline};
pub(crate) use origin::check_origin;
