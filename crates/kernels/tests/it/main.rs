//! The block against an independent f64 reference, its invariants, and the errors of its public functions.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod case;
mod equality;
mod errors;
mod invariants;
mod layers;
mod mixed;
mod reference;
mod tape;
