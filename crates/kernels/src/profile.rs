//! Where the time goes: a clock around every kernel, summed by the kernel's name over all threads.
//!
//! Only with the cargo feature `profile`, for `examples/profile.rs`; not part of the stable interface.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

static TOTALS: Mutex<BTreeMap<&'static str, Duration>> = Mutex::new(BTreeMap::new());

/// Adds the time from its making to its end to its name's total.
pub(crate) struct Span {
    name: &'static str,
    start: Instant,
}

impl Span {
    pub(crate) fn new(name: &'static str) -> Self {
        let start = Instant::now();
        Self { name, start }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let elapsed = self.start.elapsed();
        let mut totals = TOTALS.lock().unwrap_or_else(PoisonError::into_inner);
        *totals.entry(self.name).or_default() += elapsed;
    }
}

/// Total time by operation since the last call, largest first, in seconds of one thread.
pub fn take() -> Vec<(String, f64)> {
    let totals = std::mem::take(&mut *TOTALS.lock().unwrap_or_else(PoisonError::into_inner));
    let mut all: Vec<(String, f64)> =
        totals.into_iter().map(|(name, time)| (short(name), time.as_secs_f64())).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}

/// A type's name without its modules' paths.
fn short(name: &str) -> String {
    let mut out = String::new();
    for word in name.split_inclusive(['<', '>', ',', ' ']) {
        out.push_str(word.rsplit("::").next().unwrap_or(word));
    }
    out
}
