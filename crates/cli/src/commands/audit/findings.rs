//! What was found, by kind, with the images it concerns.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use kinsight_data::inspect::{DuplicateConfig, Inspection, NearPair, equal_files, near_duplicates};
use kinsight_retrieval::{ClassDiversity, KnnConfig, Neighbors, class_diversity, outliers, search_self, suspects};

use super::AuditArgs;
use super::images::Images;
use super::judge::Judged;

/// Neighbors that vote on a label.
const NEIGHBORS: usize = 10;
/// Images at least this similar are compared pixel by pixel; copies of one picture are far above.
const COPY_SIMILARITY: f32 = 0.9;
/// An image whose shorter side is below this has less to show than a model's patch grid asks for.
const SMALL_PX: u32 = 64;
/// An image this many times as long as wide loses most of itself in a square crop.
const LONG: f64 = 4.0;

/// Kinds of findings, gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    Unreadable,
    Leakage,
    SharedClass,
    Conflict,
    SameFile,
    SamePicture,
    Label,
    Outlier,
    Size,
    SmallClass,
    EmptyClass,
}

impl FindingKind {
    pub const ALL: [Self; 11] = [
        Self::Unreadable,
        Self::Leakage,
        Self::SharedClass,
        Self::Conflict,
        Self::SameFile,
        Self::SamePicture,
        Self::Label,
        Self::Outlier,
        Self::Size,
        Self::SmallClass,
        Self::EmptyClass,
    ];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Leakage => "leakage",
            Self::SharedClass => "shared_class",
            Self::Conflict => "conflict",
            Self::SameFile => "same_file",
            Self::SamePicture => "same_picture",
            Self::Label => "label",
            Self::Outlier => "outlier",
            Self::Size => "size",
            Self::SmallClass => "small_class",
            Self::EmptyClass => "empty_class",
        }
    }

    /// What `count` of them are called.
    pub fn words(self, count: usize) -> &'static str {
        let (one, many) = match self {
            Self::Unreadable => ("unreadable file", "unreadable files"),
            Self::Leakage => ("picture on both sides of the split", "pictures on both sides of the split"),
            Self::SharedClass => ("class on both sides of the split", "classes on both sides of the split"),
            Self::Conflict => ("picture with different labels", "pictures with different labels"),
            Self::SameFile => ("copy of a file", "copies of files"),
            Self::SamePicture => ("other file of the same picture", "other files of the same pictures"),
            Self::Label => ("label in doubt", "labels in doubt"),
            Self::Outlier => ("outlier", "outliers"),
            Self::Size => ("small or very long image", "small or very long images"),
            Self::SmallClass => ("class with a single image", "classes with a single image"),
            Self::EmptyClass => ("class without an image", "classes without an image"),
        };
        if count == 1 { one } else { many }
    }
}

/// Images that show the same picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Copies {
    /// The images, ascending.
    pub images: Vec<usize>,
    /// Different files among them.
    pub files: usize,
    /// The least correlation by which two of them were joined; 1 for the same bytes.
    pub correlation: f64,
    /// Whether any is the mirror image of another.
    pub mirrored: bool,
}

/// A label in doubt.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelFinding {
    pub image: usize,
    pub suggested: String,
    pub score: f64,
    pub vote: f64,
    pub margin: f64,
    /// Its nearest images, nearest first.
    pub neighbors: Vec<usize>,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub struct Findings {
    pub unreadable: Vec<(usize, String)>,
    /// Same bytes.
    pub equal: Vec<Copies>,
    /// Same picture in different files.
    pub near: Vec<Copies>,
    /// Of either kind, on both sides of the split.
    pub leaks: Vec<Copies>,
    /// Of either kind, under different labels.
    pub conflicts: Vec<Copies>,
    pub labels: Vec<LabelFinding>,
    /// Image, similarity to its neighbors, deviations below the usual.
    pub outliers: Vec<(usize, f64, f64)>,
    /// Image and what is odd about its size.
    pub sizes: Vec<(usize, String)>,
    /// Label and images of each class, smallest first.
    pub classes: Vec<(usize, usize)>,
    /// By label.
    pub diversity: BTreeMap<i64, f64>,
    pub small_classes: Vec<String>,
    pub shared_classes: Vec<String>,
    pub empty_classes: Vec<String>,
}

impl Findings {
    /// Brings together what files, embeddings and labels say.
    pub fn of(
        images: &Images,
        inspections: &[Inspection],
        judged: Option<Judged>,
        proxies: BTreeMap<i64, Vec<f32>>,
        arguments: &AuditArgs,
    ) -> Result<Self> {
        let mut findings = Self {
            unreadable: unreadable(inspections),
            sizes: odd_sizes(inspections),
            shared_classes: images.shared_classes.clone(),
            empty_classes: images.empty_classes.clone(),
            ..Self::default()
        };
        let mut candidates = Vec::new();
        if let Some(judged) = &judged {
            let config = KnnConfig { k: NEIGHBORS, ..KnnConfig::default() };
            let neighbors = search_self(&judged.embeddings, &config)?;
            candidates = alike(judged, &neighbors);
            findings.judge(images, judged, &neighbors, &proxies, arguments)?;
        }
        let config = DuplicateConfig { min_correlation: arguments.min_correlation, ..DuplicateConfig::default() };
        findings.copies(images, inspections, &near_duplicates(inspections, candidates, &config));
        if images.is_labeled() {
            findings.count_classes(images);
        }
        Ok(findings)
    }

    /// How many there are of a kind.
    pub fn count(&self, kind: FindingKind) -> usize {
        match kind {
            FindingKind::Unreadable => self.unreadable.len(),
            FindingKind::Leakage => self.leaks.len(),
            FindingKind::SharedClass => self.shared_classes.len(),
            FindingKind::Conflict => self.conflicts.len(),
            // One of each group is the original.
            FindingKind::SameFile => self.equal.iter().map(|copies| copies.images.len() - 1).sum(),
            FindingKind::SamePicture => self.near.iter().map(|copies| copies.files - 1).sum(),
            FindingKind::Label => self.labels.len(),
            FindingKind::Outlier => self.outliers.len(),
            FindingKind::Size => self.sizes.len(),
            FindingKind::SmallClass => self.small_classes.len(),
            FindingKind::EmptyClass => self.empty_classes.len(),
        }
    }

    fn judge(
        &mut self,
        images: &Images,
        judged: &Judged,
        neighbors: &Neighbors,
        proxies: &BTreeMap<i64, Vec<f32>>,
        arguments: &AuditArgs,
    ) -> Result<()> {
        let found = outliers(&judged.embeddings, neighbors, arguments.outlier_deviations)?;
        self.outliers = found
            .into_iter()
            .map(|outlier| (judged.images[outlier.row], outlier.similarity, outlier.deviations))
            .collect();
        if !images.is_labeled() {
            return Ok(());
        }
        let labels: Vec<i64> = judged.images.iter().map(|image| i64::from(images.items[*image].label)).collect();
        let found = suspects(&judged.embeddings, &labels, neighbors, proxies)?;
        self.labels = found
            .into_iter()
            .filter(|suspect| suspect.score >= arguments.min_label_score)
            .map(|suspect| LabelFinding {
                image: judged.images[suspect.row],
                suggested: images.class_names.get(suspect.suggested as usize).cloned().unwrap_or_default(),
                score: suspect.score,
                vote: suspect.vote,
                margin: suspect.margin,
                neighbors: neighbors.row(suspect.row).iter().map(|hit| judged.images[hit.index() as usize]).collect(),
            })
            .collect();
        let diversity = class_diversity(&judged.embeddings, &labels)?;
        let known = |class: &ClassDiversity| Some((class.label, class.diversity?));
        self.diversity = diversity.iter().filter_map(known).collect();
        Ok(())
    }

    /// Sorts copies into same files, same pictures, leaks and conflicts.
    fn copies(&mut self, images: &Images, inspections: &[Inspection], near: &[NearPair]) {
        let equal = equal_files(inspections);
        self.equal = equal
            .iter()
            .map(|group| Copies { images: group.clone(), files: 1, correlation: 1.0, mirrored: false })
            .collect();
        let all = joined(&equal, near, inspections);
        self.near = all.iter().filter(|copies| copies.files > 1).cloned().collect();
        let spans = |copies: &&Copies, of: &dyn Fn(usize) -> usize| {
            copies.images.iter().map(|image| of(*image)).collect::<BTreeSet<usize>>().len() > 1
        };
        let side = |image: usize| images.side[image];
        let label = |image: usize| images.items[image].label as usize;
        self.leaks = all.iter().filter(|copies| spans(copies, &side)).cloned().collect();
        self.conflicts = all.iter().filter(|copies| spans(copies, &label)).cloned().collect();
    }

    fn count_classes(&mut self, images: &Images) {
        let mut counts = vec![0; images.class_names.len()];
        for item in &images.items {
            if let Some(count) = counts.get_mut(item.label as usize) {
                *count += 1;
            }
        }
        self.classes = counts.into_iter().enumerate().collect();
        self.classes.sort_by_key(|(label, count)| (*count, *label));
        let single = self.classes.iter().filter(|(_, count)| *count == 1);
        self.small_classes = single.map(|(label, _)| images.class_names[*label].clone()).collect();
    }
}

fn unreadable(inspections: &[Inspection]) -> Vec<(usize, String)> {
    let reason = |(index, inspection): (usize, &Inspection)| Some((index, inspection.image.as_ref().err()?.clone()));
    inspections.iter().enumerate().filter_map(reason).collect()
}

fn odd_sizes(inspections: &[Inspection]) -> Vec<(usize, String)> {
    let judge = |(index, inspection): (usize, &Inspection)| {
        let picture = inspection.image.as_ref().ok()?;
        let (width, height) = (picture.width_px, picture.height_px);
        let (short, long) = (width.min(height), width.max(height));
        let odd = if short < SMALL_PX {
            "small"
        } else if f64::from(long) > LONG * f64::from(short) {
            "very long"
        } else {
            return None;
        };
        Some((index, format!("{odd}: {width} x {height} pixels")))
    };
    inspections.iter().enumerate().filter_map(judge).collect()
}

/// Pairs of images that lie so near each other that they may be the same picture.
fn alike(judged: &Judged, neighbors: &Neighbors) -> Vec<(usize, usize)> {
    let rows = judged.images.iter().zip(neighbors.rows());
    let of_row = rows.flat_map(|(image, hits)| {
        let near = hits.iter().filter(|hit| hit.score() >= COPY_SIMILARITY);
        near.map(move |hit| (*image, judged.images[hit.index() as usize]))
    });
    of_row.collect()
}

/// Groups of copies: what is joined by a chain of same files and same pictures.
fn joined(equal: &[Vec<usize>], near: &[NearPair], inspections: &[Inspection]) -> Vec<Copies> {
    let mut leader: Vec<usize> = (0..inspections.len()).collect();
    let ties = equal.iter().flat_map(|group| group.windows(2).map(|pair| (pair[0], pair[1])));
    for (a, b) in ties.chain(near.iter().map(|pair| (pair.first, pair.second))) {
        let (a, b) = (find(&mut leader, a), find(&mut leader, b));
        leader[a.max(b)] = a.min(b);
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for image in 0..inspections.len() {
        groups.entry(find(&mut leader, image)).or_default().push(image);
    }
    let mut links: BTreeMap<usize, (f64, bool)> = BTreeMap::new();
    for pair in near {
        let link = links.entry(find(&mut leader, pair.first)).or_insert((1.0, false));
        *link = (link.0.min(pair.correlation), link.1 || pair.mirrored);
    }
    let copies = |(first, images): (usize, Vec<usize>)| {
        let files = images.iter().map(|image| inspections[*image].hash).collect::<BTreeSet<_>>().len();
        let (correlation, mirrored) = links.get(&first).copied().unwrap_or((1.0, false));
        (images.len() > 1).then_some(Copies { images, files, correlation, mirrored })
    };
    groups.into_iter().filter_map(copies).collect()
}

/// The first image of the group of `image`.
fn find(leader: &mut [usize], image: usize) -> usize {
    let mut root = image;
    while leader[root] != root {
        leader[root] = leader[leader[root]];
        root = leader[root];
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspection(hash: u8) -> Inspection {
        Inspection { bytes: 1, hash: [hash; 32], image: Err("not looked at".into()) }
    }

    #[test]
    fn chains_of_copies_are_one_group() {
        let inspections: Vec<Inspection> = [1, 2, 1, 3, 4, 5].map(inspection).to_vec();
        let pair = |first, second, correlation| NearPair { first, second, correlation, mirrored: false };
        let near = [pair(2, 3, 0.99), pair(3, 5, 0.98)];
        let groups = joined(&[vec![0, 2]], &near, &inspections);
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].images, [0, 2, 3, 5]);
        assert_eq!((groups[0].files, groups[0].correlation), (3, 0.98));
    }
}
