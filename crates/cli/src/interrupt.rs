//! Ctrl-C and SIGTERM: the first asks a command to finish its step, save and stop; the second ends the program.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

/// Exit code of a stopped command, as shells have it for Ctrl-C: what runs after it on success does not.
pub const EXIT_CODE: u8 = 130;

static STOP: AtomicBool = AtomicBool::new(false);

/// A flag that the first signal sets.
///
/// # Errors
/// Signals cannot be listened for.
pub fn stop_flag() -> Result<&'static AtomicBool> {
    static LISTENING: OnceLock<()> = OnceLock::new();
    if LISTENING.set(()).is_ok() {
        ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::Relaxed) {
                std::process::exit(EXIT_CODE.into());
            }
            eprintln!("\nstopping after this step; press Ctrl-C again to stop immediately");
        })
        .context("cannot listen for Ctrl-C")?;
    }
    Ok(&STOP)
}

/// A command that was stopped before its end: what is kept, and how to go on.
#[derive(Debug)]
pub struct Stopped(pub String);

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped; {}", self.0)
    }
}

impl std::error::Error for Stopped {}

/// The error of a command that was stopped.
pub fn stopped<T>(how_to_go_on: impl Into<String>) -> Result<T> {
    Err(Stopped(how_to_go_on.into()).into())
}
