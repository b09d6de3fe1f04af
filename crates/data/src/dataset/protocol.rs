//! How the test side of a dataset is measured: who asks, who answers, and within which groups.

/// What one picture is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// Whether it is searched for.
    pub query: bool,
    /// Whether it can be found.
    pub gallery: bool,
}

/// Roles and groups of the pictures of a test set.
///
/// The default is the protocol of CUB, Cars, Stanford Online Products and iNaturalist: every picture queries all others.
/// A picture that is a query and in the gallery is left out of its own answers by identity. Pictures of the class
/// [`DISTRACTORS`] are in the gallery alone and answer nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Protocol {
    /// Role of each picture; empty where every picture is both.
    pub roles: Vec<Role>,
    /// Group of each picture, a position in `group_names`; empty where there are none.
    pub groups: Vec<u32>,
    /// Name of each group, in byte order.
    pub group_names: Vec<String>,
}

/// Name of the class that pictures without a label get; they are no query and no right answer.
pub const DISTRACTORS: &str = "(distractors)";

impl Protocol {
    /// Whether every picture queries all others.
    pub fn is_self_search(&self) -> bool {
        self.roles.is_empty() || self.roles.iter().all(|role| role.query && role.gallery)
    }

    /// Whether a picture is searched for.
    pub fn is_query(&self, index: usize) -> bool {
        self.roles.get(index).is_none_or(|role| role.query)
    }

    /// Whether a picture can be found.
    pub fn is_in_gallery(&self, index: usize) -> bool {
        self.roles.get(index).is_none_or(|role| role.gallery)
    }

    /// The protocol of some of the pictures, in the order of `indices`.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        let of = |index: &usize| (!self.roles.is_empty()).then(|| self.roles.get(*index).copied()).flatten();
        let group = |index: &usize| (!self.groups.is_empty()).then(|| self.groups.get(*index).copied()).flatten();
        Self {
            roles: indices.iter().filter_map(of).collect(),
            groups: indices.iter().filter_map(group).collect(),
            group_names: self.group_names.clone(),
        }
    }
}
