//! The answers of a search as one HTML file with its pictures inside.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kinsight_data::thumbnail::thumbnail_of_file;
use kinsight_index::payload::fields;
use kinsight_index::{Calibration, Hit, file_of};

/// Longer side of a picture on the page.
const SIDE_PX: u32 = 320;

const STYLE: &str = "
:root{color-scheme:light dark;font:16px/1.45 system-ui,sans-serif}
body{margin:0 auto;max-width:1200px;padding:1.5rem}
h1{font-size:1.4rem}code{font-size:.9em}
ul{display:grid;grid-template-columns:repeat(auto-fill,minmax(180px,1fr));gap:1rem;list-style:none;padding:0}
figure{margin:0}img{width:100%;aspect-ratio:1;object-fit:contain;border-radius:.5rem;background:#8882}
.query{max-width:220px}figcaption{font-size:.85rem;overflow-wrap:anywhere}
.score{font-variant-numeric:tabular-nums;font-weight:600}.verdict{margin-left:.4em;opacity:.75}
";

/// Writes the page.
pub fn write(
    path: &Path,
    queries: &[&Path],
    condition: Option<&str>,
    hits: &[Hit],
    calibration: Option<&Calibration>,
) -> Result<()> {
    let text = html(queries, condition, hits, calibration);
    Ok(kinsight_files::write(path, text.as_bytes())?)
}

fn html(queries: &[&Path], condition: Option<&str>, hits: &[Hit], calibration: Option<&Calibration>) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
    // The page needs nothing from anywhere, so nothing may be fetched.
    page.push_str("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">");
    let _ = write!(page, "<title>kinsight search</title><style>{STYLE}</style></head><body><h1>Searched by</h1><ul>");
    for query in queries {
        let _ = write!(page, "<li><figure class=\"query\">");
        picture(&mut page, query, "query image");
        let _ = write!(page, "<figcaption>{}</figcaption></figure></li>", escaped(&query.display().to_string()));
    }
    page.push_str("</ul>");
    if let Some(condition) = condition {
        let _ = write!(page, "<p>Only where <code>{}</code></p>", escaped(condition));
    }
    let _ = write!(page, "<h1>Found</h1>");
    if let Some(message) = super::nothing(hits, calibration) {
        let _ = write!(page, "<p>{}</p>", escaped(message));
    }
    page.push_str("<ul>");
    for (rank, hit) in hits.iter().enumerate() {
        let field = |name| hit.payload.get(name).map(|value| value.text()).unwrap_or_default();
        page.push_str("<li><figure>");
        picture(&mut page, &file_of(&hit.payload), &format!("answer {}: {}", rank + 1, field(fields::LABEL)));
        let verdict = calibration.map_or("", |calibration| calibration.verdict(f64::from(hit.score)).as_str());
        let _ = write!(
            page,
            "<figcaption><span class=\"score\">{:.4}</span><span class=\"verdict\">{verdict}</span><br>{}<br>{}</figcaption></figure></li>",
            hit.score,
            escaped(&field(fields::LABEL)),
            escaped(&field(fields::PATH))
        );
    }
    page.push_str("</ul></body></html>\n");
    page
}

/// The picture, or a word where the file cannot be read.
fn picture(page: &mut String, file: &Path, alternative: &str) {
    let _ = match thumbnail_of_file(file, SIDE_PX) {
        Ok(jpeg) => write!(
            page,
            "<img src=\"data:image/jpeg;base64,{}\" alt=\"{}\">",
            STANDARD.encode(jpeg),
            escaped(alternative)
        ),
        Err(_) => write!(page, "<p>(the file is not there any more)</p>"),
    };
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ if character.is_control() => safe.push('\u{fffd}'),
            _ => safe.push(character),
        }
    }
    safe
}

/// Opens the page in the user's browser, if there is a way to; where there is none, the path was printed.
pub fn open(path: &Path) {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(target_os = "windows") {
        "explorer"
    } else {
        "xdg-open"
    };
    let _ = Command::new(program).arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
}

#[cfg(test)]
mod tests {
    use kinsight_index::{Payload, PointId, Value};

    use super::*;

    #[test]
    fn names_cannot_break_out_of_the_page() {
        let payload = Payload::from([
            ("label".to_owned(), Value::from("<script>alert(1)</script>")),
            ("path".to_owned(), Value::from("a\" onerror=\"x.jpg")),
        ]);
        let hit = Hit { id: PointId::of_path("r", "p"), score: 0.5, payload, vector: None };
        let page = html(&[Path::new("no<where>.jpg")], Some("a < 'b'"), &[hit], None);
        assert!(!page.contains("<script") && !page.contains("onerror=\"x") && !page.contains("<where>"));
        assert!(page.contains("&lt;script&gt;") && page.contains("0.5000") && page.contains("not there any more"));
    }
}
