//! What the server says while it runs: one line for each request and event, on standard error.
//!
//! The server emits `tracing` events; a program that embeds it may listen in its own way. A line says what was asked, how it
//! ended and how long it took: never a key, a body or an image.

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// One line of text for people.
    #[default]
    Text,
    /// Nothing.
    Off,
}

/// Writes the events of this process to standard error from now on, unless something listens already.
pub fn start_log(format: LogFormat) {
    let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false);
    // Someone who listens already is left alone.
    let _ = match format {
        LogFormat::Off => Ok(()),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
        LogFormat::Text => lines.with_ansi(false).try_init(),
    };
}
