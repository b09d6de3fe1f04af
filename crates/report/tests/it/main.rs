//! Pages as people see them: one binary of integration tests.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod comparison;
mod explanation;
mod run;
mod samples;
mod search;
