//! The program as a user meets it: one binary of integration tests.

mod bad_input;
mod documents;
mod evaluating;
mod fixture;
mod quickstart;
mod resuming;
mod training;
