//! One row of a list or annotation file, and the datasets and protocols that rows make up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::protocol::{Protocol, Role};
use super::{Dataset, Item};
use crate::crop_box::CropBox;

/// One image as a list describes it.
#[derive(Debug)]
pub(super) struct Entry {
    pub path: PathBuf,
    /// Number and name of its class; classes are ordered by both.
    pub class: (u64, String),
    pub crop: Option<CropBox>,
    pub role: Role,
    pub group: Option<String>,
}

impl Entry {
    pub fn new(path: PathBuf, class: (u64, String)) -> Self {
        Self { path, class, crop: None, role: Role { query: true, gallery: true }, group: None }
    }
}

/// The dataset of these images, with the classes that occur in them.
pub(super) fn dataset(root: &Path, entries: &[Entry]) -> Dataset {
    let classes: BTreeSet<&(u64, String)> = entries.iter().map(|entry| &entry.class).collect();
    let labels: BTreeMap<&(u64, String), u32> = classes.iter().copied().zip(0..).collect();
    let item = |entry: &Entry| Item { path: entry.path.clone(), label: labels[&entry.class], crop: entry.crop };
    let class_names = classes.iter().map(|(_, name)| name.clone()).collect();
    Dataset { root: root.to_owned(), items: entries.iter().map(item).collect(), class_names }
}

/// The protocol of a test set of these images. Roles and groups that do not distinguish the images are left out.
pub(super) fn protocol(entries: &[Entry]) -> Protocol {
    let mut protocol = Protocol::default();
    if entries.iter().any(|entry| !(entry.role.query && entry.role.gallery)) {
        protocol.roles = entries.iter().map(|entry| entry.role).collect();
    }
    let groups: BTreeSet<&String> = entries.iter().filter_map(|entry| entry.group.as_ref()).collect();
    if groups.len() > 1 {
        let numbers: BTreeMap<&String, u32> = groups.iter().copied().zip(0..).collect();
        let group = |entry: &Entry| entry.group.as_ref().map_or(0, |group| numbers[group]);
        protocol.groups = entries.iter().map(group).collect();
        protocol.group_names = groups.into_iter().cloned().collect();
    }
    protocol
}
