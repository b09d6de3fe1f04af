//! From findings to the page that shows them.

use std::collections::BTreeMap;
use std::path::Path;

use kinsight_data::inspect::Inspection;
use kinsight_report::audit::{AuditPage, ClassRow, Doubt, Figure, PictureGroup, ReadFailure, SizeRow, Stray};
use kinsight_report::number::Count;
use kinsight_report::pictures::{Picture, Thumbnails};

use crate::findings::{Copies, FindingKind, Findings};
use crate::images::Images;

/// Pictures of one group shown.
const GROUP: usize = 6;
/// Neighbors of a doubtful image shown.
const NEIGHBORS: usize = 5;

/// The page of an audit of the images below `root`, as `model` sees them; reads the images it shows, `max_shown`
/// findings of each kind.
pub fn page(
    findings: &Findings,
    images: &Images,
    inspections: &[Inspection],
    root: &Path,
    model: &str,
    max_shown: usize,
) -> AuditPage {
    let mut pictures = Pictures { images, root, thumbnails: Thumbnails::default() };
    let shown = max_shown;
    let mut groups = |list: &[Copies]| -> Vec<PictureGroup> {
        list.iter().take(shown).map(|copies| pictures.group(copies)).collect()
    };
    let (leaks, conflicts) = (groups(&findings.leaks), groups(&findings.conflicts));
    let (equal, near) = (groups(&findings.equal), groups(&findings.near));
    AuditPage {
        title: format!("Audit of {}", root.file_name().unwrap_or_default().to_string_lossy()),
        subtitle: subtitle(images, model),
        created: format!("kinsight {}, {}", env!("CARGO_PKG_VERSION"), root.display()),
        figures: figures(findings, images),
        unreadable: findings
            .unreadable
            .iter()
            .map(|(image, reason)| ReadFailure { path: pictures.path(*image), reason: reason.clone() })
            .collect(),
        leaks,
        shared_classes: findings.shared_classes.clone(),
        conflicts,
        equal,
        near,
        doubts: findings
            .labels
            .iter()
            .take(shown)
            .map(|label| Doubt {
                picture: pictures.get(label.image),
                suggested: label.suggested.clone(),
                vote: label.vote,
                score: label.score,
                neighbors: label
                    .neighbors
                    .iter()
                    .take(NEIGHBORS)
                    .map(|image| (pictures.get(*image), images.items[*image].label == images.items[label.image].label))
                    .collect(),
            })
            .collect(),
        strays: findings
            .outliers
            .iter()
            .take(shown)
            .map(|(image, similarity, deviations)| Stray {
                picture: pictures.get(*image),
                note: format!("similarity {similarity:.2}, {deviations:.1} deviations below the usual"),
            })
            .collect(),
        classes: classes(findings, images),
        empty_classes: findings.empty_classes.clone(),
        sizes: sizes(inspections),
        odd_sizes: findings
            .sizes
            .iter()
            .take(shown)
            .map(|(image, what)| Stray { picture: pictures.get(*image), note: what.clone() })
            .collect(),
        notes: notes(findings, max_shown),
    }
}

fn subtitle(images: &Images, model: &str) -> String {
    let classes = match images.is_labeled() {
        true => format!(" of {} classes", grouped(images.class_names.len())),
        false => ", without classes".to_string(),
    };
    format!("{} images{classes}, as {model} sees them", grouped(images.items.len()))
}

fn figures(findings: &Findings, images: &Images) -> Vec<Figure> {
    let figure = |name: &str, kind: FindingKind, note: String, grave, section: &str| Figure {
        name: name.into(),
        count: findings.count(kind),
        note,
        grave,
        section: section.into(),
    };
    let groups = |count: usize, one: &str| match count {
        0 => String::new(),
        1 => format!("in 1 {one}"),
        many => format!("in {} {one}s", grouped(many)),
    };
    let mut figures = vec![
        figure("Unreadable", FindingKind::Unreadable, "files".into(), true, "unreadable"),
        figure("Same files", FindingKind::SameFile, groups(findings.equal.len(), "group"), true, "equal"),
        figure("Same pictures", FindingKind::SamePicture, groups(findings.near.len(), "group"), true, "near"),
    ];
    if !images.sides.is_empty() {
        let shared = match findings.shared_classes.len() {
            0 => "pictures on both sides".to_string(),
            count => format!("pictures on both sides, and {} classes", grouped(count)),
        };
        figures.push(figure("Leakage", FindingKind::Leakage, shared, true, "leakage"));
    }
    if images.is_labeled() {
        figures.push(figure("Conflicts", FindingKind::Conflict, "pictures with two labels".into(), true, "conflicts"));
        figures.push(figure("Labels in doubt", FindingKind::Label, "to look at".into(), false, "labels"));
    }
    figures.push(figure("Outliers", FindingKind::Outlier, "far from their neighbors".into(), false, "outliers"));
    figures.push(figure("Odd sizes", FindingKind::Size, "small or very long".into(), false, "sizes"));
    figures
}

fn notes(findings: &Findings, max_shown: usize) -> Vec<String> {
    let lists = [
        ("groups of the same file", findings.equal.len()),
        ("groups of the same picture", findings.near.len()),
        ("leaks", findings.leaks.len()),
        ("conflicts", findings.conflicts.len()),
        ("labels in doubt", findings.labels.len()),
        ("outliers", findings.outliers.len()),
        ("odd sizes", findings.sizes.len()),
    ];
    let more = lists.into_iter().filter(|(_, count)| *count > max_shown);
    more.map(|(what, count)| {
        format!("Shown are the first {} of {} {what}; audit.csv has all.", max_shown, grouped(count))
    })
    .collect()
}

fn classes(findings: &Findings, images: &Images) -> Vec<ClassRow> {
    let mut doubts: BTreeMap<u32, usize> = BTreeMap::new();
    for label in &findings.labels {
        *doubts.entry(images.items[label.image].label).or_default() += 1;
    }
    let row = |(label, count): &(usize, usize)| ClassRow {
        name: images.class_names[*label].clone(),
        images: *count,
        diversity: findings.diversity.get(&(*label as i64)).copied(),
        doubts: doubts.get(&(*label as u32)).copied().unwrap_or(0),
    };
    findings.classes.iter().map(row).collect()
}

/// Images by the length of their shorter side.
fn sizes(inspections: &[Inspection]) -> Vec<SizeRow> {
    const EDGES: [u32; 9] = [0, 64, 128, 224, 384, 512, 1024, 2048, 4096];
    let sides: Vec<u32> = inspections
        .iter()
        .filter_map(|inspection| inspection.image.as_ref().ok())
        .map(|picture| picture.width_px.min(picture.height_px))
        .collect();
    let rows = EDGES.iter().enumerate().map(|(number, low)| {
        let high = EDGES.get(number + 1).copied().unwrap_or(u32::MAX);
        let range = match high {
            u32::MAX => format!("{low} and more"),
            _ => format!("{low} to {}", high - 1),
        };
        SizeRow { range, images: sides.iter().filter(|side| (*low..high).contains(side)).count() }
    });
    rows.filter(|row| row.images > 0).collect()
}

/// Thumbnails with class, side and path.
struct Pictures<'a> {
    images: &'a Images,
    root: &'a Path,
    thumbnails: Thumbnails,
}

impl Pictures<'_> {
    fn get(&mut self, image: usize) -> Picture {
        let label = match (self.images.class(image), self.images.side_name(image)) {
            (class, "") => class.to_string(),
            ("", side) => side.to_string(),
            (class, side) => format!("{class} ({side})"),
        };
        let caption = self.path(image);
        self.thumbnails.get(image, &self.images.items[image].path, label, caption)
    }

    /// The path of an image below the folder that was given.
    fn path(&self, image: usize) -> String {
        let path = &self.images.items[image].path;
        path.strip_prefix(self.root).unwrap_or(path).display().to_string()
    }

    fn group(&mut self, copies: &Copies) -> PictureGroup {
        let alike = match (copies.files, copies.mirrored) {
            (1, _) => "the same bytes".to_string(),
            (_, true) => format!("mirrored, correlation {:.3}", copies.correlation),
            (_, false) => format!("correlation {:.3}", copies.correlation),
        };
        let more = copies.images.len().saturating_sub(GROUP);
        let note = match more {
            0 => alike,
            _ => format!("{alike}; {more} more files"),
        };
        PictureGroup { note, pictures: copies.images.iter().take(GROUP).map(|image| self.get(*image)).collect() }
    }
}

fn grouped(count: usize) -> String {
    Count(count as u64).to_string()
}
