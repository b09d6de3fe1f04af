//! The findings as CSV to act on, as JSON, and in a few lines on the terminal.

use std::fmt::Write as _;

use kinsight_data::inspect::Inspection;
use serde_json::{Value, json};

use crate::AuditError;
use crate::findings::{Copies, FindingKind, Findings};
use crate::images::Images;

/// Labels in doubt that the summary names.
const SUSPECTS: usize = 5;

/// One row of the CSV.
struct Row {
    kind: FindingKind,
    /// Images of one group carry the same number.
    group: usize,
    image: Option<usize>,
    suggestion: String,
    score: f64,
    detail: String,
}

/// Every finding as CSV, with a row for each image of it.
///
/// ```text
/// finding,group,path,class,split,suggestion,score,detail
/// ```
///
/// # Errors
/// [`AuditError::Csv`] if a row cannot be written.
pub fn to_csv(findings: &Findings, images: &Images) -> Result<Vec<u8>, AuditError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["finding", "group", "path", "class", "split", "suggestion", "score", "detail"])?;
    for row in rows(findings, images) {
        let path = row.image.and_then(|image| images.items.get(image)).map(|item| item.path.display().to_string());
        writer.write_record([
            row.kind.name(),
            &row.group.to_string(),
            &path.unwrap_or_default(),
            row.image.map_or("", |image| images.class(image)),
            row.image.map_or("", |image| images.side_name(image)),
            &row.suggestion,
            &format!("{:.4}", row.score),
            &row.detail,
        ])?;
    }
    Ok(writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?)
}

fn rows(findings: &Findings, images: &Images) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut group = 0;
    let mut add = |kind, image, suggestion: String, score, detail: String| {
        group += 1;
        rows.push(Row { kind, group, image, suggestion, score, detail });
    };
    for (image, reason) in &findings.unreadable {
        add(FindingKind::Unreadable, Some(*image), "repair or remove".into(), 1.0, reason.clone());
    }
    for label in &findings.labels {
        let detail = format!("vote {:.2}, margin {:.3}", label.vote, label.margin);
        add(FindingKind::Label, Some(label.image), format!("label {}", label.suggested), label.score, detail);
    }
    for (image, similarity, deviations) in &findings.outliers {
        let detail = format!("mean similarity to its neighbors {similarity:.3}");
        add(FindingKind::Outlier, Some(*image), "look at it".into(), *deviations, detail);
    }
    for (image, what) in &findings.sizes {
        add(FindingKind::Size, Some(*image), "replace or remove".into(), 1.0, what.clone());
    }
    let names = [
        (FindingKind::SharedClass, &findings.shared_classes, "keep it on one side"),
        (FindingKind::SmallClass, &findings.small_classes, "add images or remove"),
        (FindingKind::EmptyClass, &findings.empty_classes, "add images or remove"),
    ];
    for (kind, names, suggestion) in names {
        for name in names {
            add(kind, None, suggestion.into(), 1.0, name.clone());
        }
    }
    let copies = [
        (FindingKind::Leakage, &findings.leaks),
        (FindingKind::Conflict, &findings.conflicts),
        (FindingKind::SameFile, &findings.equal),
        (FindingKind::SamePicture, &findings.near),
    ];
    for (kind, groups) in copies {
        for copies in groups {
            group += 1;
            rows.extend(copies.images.iter().enumerate().map(|(place, image)| Row {
                kind,
                group,
                image: Some(*image),
                suggestion: advice(kind, place, *image, copies, images).into(),
                score: copies.correlation,
                detail: if copies.mirrored { "mirrored".into() } else { String::new() },
            }));
        }
    }
    rows.sort_by_key(|row| row.kind);
    rows
}

/// What to do with one image of a group of copies: the first stays, and of leaks the test side.
fn advice(kind: FindingKind, place: usize, image: usize, copies: &Copies, images: &Images) -> &'static str {
    match kind {
        FindingKind::Conflict => "decide on one label",
        FindingKind::Leakage => {
            let first_side = copies.images.first().map(|first| images.side[*first]);
            if Some(images.side[image]) == first_side { "remove from this side" } else { "keep" }
        }
        _ if place == 0 => "keep",
        _ => "remove",
    }
}

/// The findings as JSON.
pub fn to_json(findings: &Findings, images: &Images, inspections: &[Inspection]) -> Value {
    let counts: serde_json::Map<String, Value> =
        FindingKind::ALL.into_iter().map(|kind| (kind.name().to_string(), json!(findings.count(kind)))).collect();
    let list: Vec<Value> = rows(findings, images)
        .into_iter()
        .map(|row| {
            json!({
                "finding": row.kind.name(),
                "group": row.group,
                "path": row.image.and_then(|image| images.items.get(image)).map(|item| item.path.display().to_string()),
                "class": row.image.map(|image| images.class(image)),
                "split": row.image.map(|image| images.side_name(image)).filter(|side| !side.is_empty()),
                "suggestion": row.suggestion,
                "score": row.score,
                "detail": row.detail,
            })
        })
        .collect();
    let classes: Vec<Value> = findings
        .classes
        .iter()
        .map(|(label, count)| {
            let diversity = findings.diversity.get(&(*label as i64));
            json!({ "class": images.class_names[*label], "images": count, "diversity": diversity })
        })
        .collect();
    json!({
        "images": images.items.len(),
        "bytes": inspections.iter().map(|inspection| inspection.bytes).sum::<u64>(),
        "counts": counts,
        "findings": list,
        "classes": classes,
    })
}

/// How many findings there are of each kind, and the surest suspicions, in lines for a terminal.
pub fn summary(findings: &Findings, images: &Images) -> String {
    let classes = if images.is_labeled() { format!(" of {} classes", images.class_names.len()) } else { String::new() };
    let mut text = format!("{} images{classes}\n", images.items.len());
    let counts = FindingKind::ALL.map(|kind| (kind, findings.count(kind)));
    for (kind, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        let _ = writeln!(text, "  {count:>6}  {}", kind.words(count));
    }
    if counts.iter().all(|(_, count)| *count == 0) {
        text.push_str("  nothing found\n");
    }
    if !findings.labels.is_empty() {
        text.push_str("labels most in doubt\n");
    }
    for label in findings.labels.iter().take(SUSPECTS) {
        let (path, class) = (images.items[label.image].path.display(), images.class(label.image));
        let _ = writeln!(text, "  {:5.2}  {path}: {class} or rather {}", label.score, label.suggested);
    }
    text
}
