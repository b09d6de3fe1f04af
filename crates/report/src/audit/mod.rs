//! The page of an audit: what is wrong with a data set, with pictures.

mod page;

use serde::{Deserialize, Serialize};

use crate::pictures::Picture;

/// Everything one `audit.html` shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditPage {
    /// The data set, as the reader knows it.
    pub title: String,
    /// Size of the data set and what judged it, in a sentence.
    pub subtitle: String,
    /// With what the page was made.
    pub created: String,
    /// One figure a kind of finding.
    pub figures: Vec<Figure>,
    /// Files without a readable picture.
    pub unreadable: Vec<ReadFailure>,
    /// Pictures on both sides of the split.
    pub leaks: Vec<PictureGroup>,
    /// Classes on both sides of the split.
    pub shared_classes: Vec<String>,
    /// Copies with different labels.
    pub conflicts: Vec<PictureGroup>,
    /// Files with the same bytes.
    pub equal: Vec<PictureGroup>,
    /// Pictures that look the same.
    pub near: Vec<PictureGroup>,
    /// Images whose label looks wrong.
    pub doubts: Vec<Doubt>,
    /// Images far from everything.
    pub strays: Vec<Stray>,
    /// All classes, smallest first.
    pub classes: Vec<ClassRow>,
    /// Classes without an image.
    pub empty_classes: Vec<String>,
    /// Image sizes.
    pub sizes: Vec<SizeRow>,
    /// Images that are small or very long.
    pub odd_sizes: Vec<Stray>,
    /// How many findings of each list are on the page, where there are more; a sentence each.
    pub notes: Vec<String>,
}

/// One figure at the head of the page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// What is counted.
    pub name: String,
    /// How many.
    pub count: usize,
    /// Of what, or what it means; may be empty.
    pub note: String,
    /// Whether one is already too many.
    pub grave: bool,
    /// The section about it, by id.
    pub section: String,
}

/// A file that cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadFailure {
    /// Its path.
    pub path: String,
    /// Why not.
    pub reason: String,
}

/// Pictures that belong together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PictureGroup {
    /// How alike they are, in words.
    pub note: String,
    /// The pictures; the label is class and part, the caption the path.
    pub pictures: Vec<Picture>,
}

/// An image whose label looks wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Doubt {
    /// The image; its label is the one it has.
    pub picture: Picture,
    /// The class that its neighbors are of.
    pub suggested: String,
    /// Share of its neighbors that are of that class, in `[0, 1]`.
    pub vote: f64,
    /// How sure; the order of the list.
    pub score: f64,
    /// Its nearest images, nearest first, and whether each is of the class it has.
    pub neighbors: Vec<(Picture, bool)>,
}

/// An image with a remark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stray {
    /// The image.
    pub picture: Picture,
    /// What is odd about it.
    pub note: String,
}

/// One class.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassRow {
    /// Its name.
    pub name: String,
    /// Its images.
    pub images: usize,
    /// How varied it is, mean cosine distance of its pairs.
    pub diversity: Option<f64>,
    /// Its images in doubt.
    pub doubts: usize,
}

/// A range of image sizes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeRow {
    /// The range in words.
    pub range: String,
    /// Images in it.
    pub images: usize,
}
