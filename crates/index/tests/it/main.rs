//! Indexes in real folders, with a model that is a hash of pixels.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod calibration;
mod fixture;
mod graph;
mod indexing;
mod migration;
mod store;
