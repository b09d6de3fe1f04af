//! What can be wrong with a call: nothing but the lengths and sizes it was given.

use thiserror::Error;

/// A call whose sizes do not fit together. No other error exists: the arithmetic itself cannot fail.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelError {
    /// A slice is not as long as the dimensions say.
    #[error("{what} holds {found} numbers, expected {expected}")]
    Length {
        /// The tensor, as the parameters name it (`fc1.weight`).
        what: &'static str,
        /// Length that follows from the dimensions.
        expected: usize,
        /// Length of the slice.
        found: usize,
    },
    /// A dimension that no block can have.
    #[error("{what} is {found}, expected {expected}")]
    Dimension {
        /// The dimension (`width`).
        what: &'static str,
        /// What would be allowed, in words.
        expected: String,
        /// The value given.
        found: usize,
    },
    /// Something is wanted, or given, whose counterpart is absent.
    #[error("{what} is {found}, expected {expected}")]
    Mismatch {
        /// The tensor or setting.
        what: &'static str,
        /// What the rest of the call asks for.
        expected: &'static str,
        /// What the call has.
        found: &'static str,
    },
}

/// Fails unless `found` numbers are exactly the `expected` ones.
pub(crate) fn check_length(what: &'static str, expected: usize, found: usize) -> Result<(), KernelError> {
    if expected == found { Ok(()) } else { Err(KernelError::Length { what, expected, found }) }
}
