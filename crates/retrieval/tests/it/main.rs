//! Integration tests: what a user of the crate relies on, against recorded figures and against plain definitions.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod evaluation;
mod files;
mod golden;
mod journal;
mod knn;
