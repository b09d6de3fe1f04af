//! The program as a user meets it: one binary of integration tests.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod datasets;
mod documents;
mod embedding;
mod evaluating;
mod fixture;
mod quickstart;
mod resuming;
mod training;
