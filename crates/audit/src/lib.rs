//! Audits: what is wrong with a data set, before a model learns it.
//!
//! Files are inspected by `kinsight_data::inspect` and embedded by the caller, so this crate knows no model.
//! [`Findings`] brings together what files, embeddings and labels say; [`page`], [`to_csv`], [`to_json`] and
//! [`summary`] tell it. Nothing of the data set is touched.

mod findings;
mod images;
mod outputs;
mod page;

pub use findings::{AuditSettings, Copies, Embedded, FindingKind, Findings, LabelFinding};
pub use images::Images;
pub use outputs::{summary, to_csv, to_json};
pub use page::page;

/// An audit that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Embeddings cannot be compared.
    #[error("cannot compare the embedded images")]
    Retrieval(#[from] kinsight_retrieval::RetrievalError),
    /// A row of the CSV cannot be written.
    #[error("cannot write the findings as CSV")]
    Csv(#[from] csv::Error),
}
