//! The page of a search: from hits to what `kinsight_report` shows, and opening it in a browser.

use std::path::Path;
use std::process::{Command, Stdio};

use kinsight_data::thumbnail::thumbnail_of_file;
use kinsight_index::payload::fields;
use kinsight_index::{Calibration, Hit, file_of};
use kinsight_report::Picture;
use kinsight_report::search::{SearchHit, SearchPage};

/// Longer side of a picture on the page.
const SIDE_PX: u32 = 320;

/// Reads the pictures of queries and hits.
pub fn page(queries: &[&Path], condition: Option<&str>, hits: &[Hit], calibration: Option<&Calibration>) -> SearchPage {
    let picture = |file: &Path, label: String, caption: String| {
        Picture::jpeg(label, caption, thumbnail_of_file(file, SIDE_PX).unwrap_or_default())
    };
    let hit = |hit: &Hit| {
        let field = |name| hit.payload.get(name).map(|value| value.text().to_string()).unwrap_or_default();
        let score = f64::from(hit.score);
        SearchHit {
            picture: picture(&file_of(&hit.payload), field(fields::LABEL), field(fields::PATH)),
            score,
            verdict: calibration.map(|calibration| calibration.verdict(score).as_str().into()).unwrap_or_default(),
        }
    };
    SearchPage {
        queries: queries.iter().map(|query| picture(query, String::new(), query.display().to_string())).collect(),
        condition: condition.map(str::to_owned),
        remark: super::nothing(hits, calibration).unwrap_or_default().into(),
        hits: hits.iter().map(hit).collect(),
    }
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
