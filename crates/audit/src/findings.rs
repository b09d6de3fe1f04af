//! What was found, by kind, with the images it concerns.

use std::collections::{BTreeMap, BTreeSet};

use kinsight_data::inspect::{DuplicateConfig, Inspection, NearPair, equal_files, near_duplicates};
use kinsight_retrieval::{
    ClassDiversity, KnnConfig, Neighbors, UnitEmbeddings, class_diversity, outliers, search_self, suspects,
};

use crate::AuditError;
use crate::images::Images;

/// Neighbors that vote on a label.
const NEIGHBORS: usize = 10;
/// Images at least this similar are compared pixel by pixel; copies of one picture are far above.
const COPY_SIMILARITY: f32 = 0.9;
/// An image whose shorter side is below this has less to show than a model's patch grid asks for.
const SMALL_PX: u32 = 64;
/// An image this many times as long as wide loses most of itself in a square crop.
const LONG: f64 = 4.0;

/// What counts as a finding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AuditSettings {
    /// Small gray copies must correlate this much to be the same picture, in `[0, 1]`.
    pub min_correlation: f64,
    /// How sure a suspected label must be to be listed.
    pub min_label_score: f64,
    /// Robust standard deviations below the usual similarity that make an outlier.
    pub outlier_deviations: f64,
}

/// Embeddings of the images that could be read.
#[derive(Debug)]
pub struct Embedded {
    /// Unit rows.
    pub embeddings: UnitEmbeddings,
    /// Which image each row is.
    pub images: Vec<usize>,
}

/// Kinds of findings, gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// A file without a readable picture.
    Unreadable,
    /// A image on both sides of the split.
    Leakage,
    /// A class on both sides of the split.
    SharedClass,
    /// Copies of one picture under different labels.
    Conflict,
    /// Files with the same bytes.
    SameFile,
    /// Other files of the same picture.
    SamePicture,
    /// A label in doubt.
    Label,
    /// An image far from its neighbors.
    Outlier,
    /// A small or very long image.
    Size,
    /// A class with a single image.
    SmallClass,
    /// A class without an image.
    EmptyClass,
}

impl FindingKind {
    /// All of them, gravest first.
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
            Self::Leakage => ("image on both sides of the split", "images on both sides of the split"),
            Self::SharedClass => ("class on both sides of the split", "classes on both sides of the split"),
            Self::Conflict => ("image with different labels", "images with different labels"),
            Self::SameFile => ("copy of a file", "copies of files"),
            Self::SamePicture => ("copy of an image in another file", "copies of images in other files"),
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
    /// The image.
    pub image: usize,
    /// The class that it seems to be of.
    pub suggested: String,
    /// How sure: from vote and margin.
    pub score: f64,
    /// Share of its neighbors' votes for that class, in `[0, 1]`.
    pub vote: f64,
    /// How much more similar it is to the center of that class than to the center of its own.
    pub margin: f64,
    /// Its nearest images, nearest first.
    pub neighbors: Vec<usize>,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Image and why it cannot be read.
    pub unreadable: Vec<(usize, String)>,
    /// Same bytes.
    pub equal: Vec<Copies>,
    /// Same picture in different files.
    pub near: Vec<Copies>,
    /// Of either kind, on both sides of the split.
    pub leaks: Vec<Copies>,
    /// Of either kind, under different labels.
    pub conflicts: Vec<Copies>,
    /// Labels in doubt, surest first.
    pub labels: Vec<LabelFinding>,
    /// Image, similarity to its neighbors, deviations below the usual.
    pub outliers: Vec<(usize, f64, f64)>,
    /// Image and what is odd about its size.
    pub sizes: Vec<(usize, String)>,
    /// Label and images of each class, smallest first.
    pub classes: Vec<(usize, usize)>,
    /// Mean cosine distance of the pairs of a class, by label.
    pub diversity: BTreeMap<i64, f64>,
    /// Classes with a single image.
    pub small_classes: Vec<String>,
    /// Classes on both sides of the split.
    pub shared_classes: Vec<String>,
    /// Classes without an image.
    pub empty_classes: Vec<String>,
}

impl Findings {
    /// Brings together what files, embeddings and labels say.
    ///
    /// `inspections` are one for each image; `proxies`, by label, are those of a model that was trained on the class.
    ///
    /// # Errors
    /// [`AuditError::Retrieval`] if the embeddings cannot be compared.
    pub fn of(
        images: &Images,
        inspections: &[Inspection],
        embedded: Option<&Embedded>,
        proxies: &BTreeMap<i64, Vec<f32>>,
        settings: AuditSettings,
    ) -> Result<Self, AuditError> {
        let mut findings = Self {
            unreadable: unreadable(inspections),
            sizes: odd_sizes(inspections),
            shared_classes: images.shared_classes.clone(),
            empty_classes: images.empty_classes.clone(),
            ..Self::default()
        };
        let mut candidates = Vec::new();
        if let Some(embedded) = embedded {
            let config = KnnConfig { k: NEIGHBORS, ..KnnConfig::default() };
            let neighbors = search_self(&embedded.embeddings, &config)?;
            candidates = alike(embedded, &neighbors);
            findings.judge(images, embedded, &neighbors, proxies, settings)?;
        }
        let config = DuplicateConfig { min_correlation: settings.min_correlation, ..DuplicateConfig::default() };
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
        embedded: &Embedded,
        neighbors: &Neighbors,
        proxies: &BTreeMap<i64, Vec<f32>>,
        settings: AuditSettings,
    ) -> Result<(), AuditError> {
        let found = outliers(&embedded.embeddings, neighbors, settings.outlier_deviations)?;
        self.outliers = found
            .into_iter()
            .map(|outlier| (embedded.images[outlier.row], outlier.similarity, outlier.deviations))
            .collect();
        if !images.is_labeled() {
            return Ok(());
        }
        let labels: Vec<i64> = embedded.images.iter().map(|image| i64::from(images.items[*image].label)).collect();
        let found = suspects(&embedded.embeddings, &labels, neighbors, proxies)?;
        self.labels = found
            .into_iter()
            .filter(|suspect| suspect.score >= settings.min_label_score)
            .map(|suspect| LabelFinding {
                image: embedded.images[suspect.row],
                suggested: images.class_names.get(suspect.suggested as usize).cloned().unwrap_or_default(),
                score: suspect.score,
                vote: suspect.vote,
                margin: suspect.margin,
                neighbors: neighbors.row(suspect.row).iter().map(|hit| embedded.images[hit.index() as usize]).collect(),
            })
            .collect();
        let diversity = class_diversity(&embedded.embeddings, &labels)?;
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
fn alike(embedded: &Embedded, neighbors: &Neighbors) -> Vec<(usize, usize)> {
    let rows = embedded.images.iter().zip(neighbors.rows());
    let of_row = rows.flat_map(|(image, hits)| {
        let near = hits.iter().filter(|hit| hit.score() >= COPY_SIMILARITY);
        near.map(move |hit| (*image, embedded.images[hit.index() as usize]))
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
