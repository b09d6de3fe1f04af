//! Printing that survives a reader who is gone.
//!
//! The standard macros panic if a write fails. Those defined here take their place in the whole program: when the reader of
//! a pipe has left (`kinsight backbones | head`), the rest is passed over and the command goes on with its work; any other
//! failure, as a full disk, becomes the command's error in the end. Nothing can be done about messages that cannot be
//! written.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::Mutex;

static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

/// Writes to standard output, unless that failed before.
pub fn print(text: Arguments<'_>) {
    keep(|| io::stdout().write_fmt(text));
}

/// Writes to standard error.
pub fn message(text: Arguments<'_>) {
    let _ = io::stderr().write_fmt(text);
}

/// What kept the results from being written; a reader who left is no failure.
pub fn finish() -> io::Result<()> {
    keep(|| io::stdout().flush());
    let failed = FAILED.lock().ok().and_then(|mut failed| failed.take());
    failed.filter(|error| error.kind() != ErrorKind::BrokenPipe).map_or(Ok(()), Err)
}

fn keep(write: impl FnOnce() -> io::Result<()>) {
    let Ok(mut failed) = FAILED.lock() else { return };
    if failed.is_none() {
        *failed = write().err();
    }
}

macro_rules! print {
    ($($text:tt)*) => { $crate::output::print(format_args!($($text)*)) };
}

macro_rules! println {
    () => { $crate::output::print(format_args!("\n")) };
    ($($text:tt)*) => { $crate::output::print(format_args!("{}\n", format_args!($($text)*))) };
}

macro_rules! eprintln {
    () => { $crate::output::message(format_args!("\n")) };
    ($($text:tt)*) => { $crate::output::message(format_args!("{}\n", format_args!($($text)*))) };
}
