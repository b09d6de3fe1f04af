//! Indexes in real folders, with a model that is a hash of pixels.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod calibration;
mod crashes;
mod fixture;
mod graph;
mod indexing;
mod limits;
mod migration;
mod moving;
mod replaced;
mod snapshots;
mod store;
mod trust;
