//! One line a request on standard error, as JSON or as text.
//!
//! A line says what was asked, of which route, how it ended and how long it took: never a key, a body or a picture.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::settings::LogFormat;

/// Writes log lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log(pub LogFormat);

/// A finished request.
pub(crate) struct Answered<'a> {
    pub id: u64,
    pub method: &'a str,
    pub path: &'a str,
    pub status: u16,
    pub took: Duration,
    pub bytes: Option<u64>,
    pub client: Option<String>,
    /// What the answer says went wrong, if anything.
    pub failure: Option<&'a str>,
}

impl Log {
    pub fn answered(self, line: &Answered<'_>) {
        let took_ms = (line.took.as_secs_f64() * 1e4).round() / 10.0;
        match self.0 {
            LogFormat::Off => {}
            LogFormat::Json => write(&json!({
                "time": now(), "event": "request", "id": line.id, "method": line.method, "path": line.path,
                "status": line.status, "took_ms": took_ms, "bytes": line.bytes, "client": line.client,
                "failure": line.failure,
            })),
            LogFormat::Text => {
                let why = line.failure.map(|failure| format!("  {}", plain(failure))).unwrap_or_default();
                write_line(&format!("{} {} {} {took_ms} ms{why}", line.status, line.method, plain(line.path)));
            }
        }
    }

    /// Anything else worth a line.
    pub fn event(self, event: &str, fields: Value) {
        match self.0 {
            LogFormat::Off => {}
            LogFormat::Json => {
                let mut object = json!({ "time": now(), "event": event });
                if let (Some(object), Value::Object(fields)) = (object.as_object_mut(), fields) {
                    object.extend(fields);
                }
                write(&object);
            }
            LogFormat::Text => {
                let fields = fields.as_object().cloned().unwrap_or_default();
                let text: Vec<String> = fields.iter().map(|(name, value)| format!("{name} {value}")).collect();
                write_line(&plain(&format!("{event} {}", text.join(" "))));
            }
        }
    }
}

fn write(object: &Value) {
    write_line(&object.to_string());
}

/// A log that cannot be written must not stop the server.
fn write_line(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Control characters replaced: a path must not draw on the terminal, nor begin a line of its own.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Seconds since 1970, with milliseconds.
fn now() -> f64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (elapsed.as_secs_f64() * 1e3).round() / 1e3
}
