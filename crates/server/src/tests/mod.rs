//! The router as a client meets it, without a network: a small index, a tiny random model, one request after another.

mod bad_input;
mod collections;
mod connections;
mod fixture;
mod keys;
mod load;
mod openapi;
mod searching;
mod upkeep;
mod writing;
