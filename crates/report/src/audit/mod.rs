//! The page of an audit: what is wrong with a data set, with pictures.
//!
//! The sister of the report of a run: the same style, script and promises (whole, offline, every string escaped).

mod model;
mod page;

pub use model::{AuditPage, ClassRow, Doubt, Figure, PictureGroup, ReadFailure, SizeRow, Stray};

impl AuditPage {
    /// The whole page as one HTML document. Sections without findings are left out; figures state that they are empty.
    #[must_use]
    pub fn to_html(&self) -> String {
        page::Page(self).to_string()
    }
}
