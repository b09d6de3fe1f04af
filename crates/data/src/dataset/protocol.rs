//! How a test set is evaluated: which images are queries, which can be found, and in which groups.

/// The part an image plays in a test set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// Whether it is a query.
    pub query: bool,
    /// Whether it is in the gallery, where queries search.
    pub gallery: bool,
}

/// Roles and groups of a test set's images.
///
/// The default is the protocol of CUB, Cars, Stanford Online Products and iNaturalist: every image queries all others. An
/// image that is both query and gallery never counts as its own result. Images of the class [`DISTRACTORS`] are only in
/// the gallery and relevant to no query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Protocol {
    /// Role of each image; empty if every image has both roles.
    pub roles: Vec<Role>,
    /// Group of each image, a position in `group_names`; empty without groups.
    pub groups: Vec<u32>,
    /// Name of each group, in byte order.
    pub group_names: Vec<String>,
}

/// Name of the class of images without a label: never a query, never relevant.
pub const DISTRACTORS: &str = "(distractors)";

impl Protocol {
    /// Whether every image queries all others.
    pub fn is_self_search(&self) -> bool {
        self.roles.is_empty() || self.roles.iter().all(|role| role.query && role.gallery)
    }

    /// Whether an image is a query.
    pub fn is_query(&self, index: usize) -> bool {
        self.roles.get(index).is_none_or(|role| role.query)
    }

    /// Whether an image is in the gallery.
    pub fn is_in_gallery(&self, index: usize) -> bool {
        self.roles.get(index).is_none_or(|role| role.gallery)
    }

    /// The protocol of some of the images, in the order of `indices`.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        Self {
            roles: indices.iter().filter_map(|&index| self.roles.get(index).copied()).collect(),
            groups: indices.iter().filter_map(|&index| self.groups.get(index).copied()).collect(),
            group_names: self.group_names.clone(),
        }
    }
}
