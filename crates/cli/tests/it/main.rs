//! The program as a user meets it: one binary of integration tests.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod auditing;
mod backbones;
mod bad_input;
mod comparing;
mod datasets;
mod devices;
mod documents;
mod embedding;
mod evaluating;
mod exporting;
mod fixture;
mod indexing;
mod locking;
mod planning;
mod printing;
mod quickstart;
mod resuming;
mod serving;
mod settings;
mod stopping;
mod telling;
mod training;
mod writing;
mod written_numbers;
