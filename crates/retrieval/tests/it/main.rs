//! Integration tests: what a user of the crate relies on, against recorded figures and against plain definitions.

mod evaluation;
mod golden;
mod knn;
