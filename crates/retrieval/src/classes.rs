//! Which gallery items are relevant to a query: those of the same label.

use std::collections::BTreeMap;

/// Class of an item whose label the gallery does not hold.
const NO_CLASS: u32 = u32::MAX;

/// The place of a query that is not in the gallery.
const NO_ITEM: u32 = u32::MAX;

/// The gallery's items grouped by label, and the queries' labels looked up among them.
pub(crate) struct Relevance {
    /// Class of each gallery item: its label's place among the gallery's sorted labels.
    gallery_classes: Vec<u32>,
    /// Class of each query, or [`NO_CLASS`].
    query_classes: Vec<u32>,
    /// `members[starts[c]..starts[c + 1]]` are the gallery items of class c, in order.
    members: Vec<u32>,
    starts: Vec<usize>,
    /// Whether query i is gallery item i.
    of_itself: bool,
    /// Gallery item that each query is, or [`NO_ITEM`]; empty where no query is in the gallery.
    own_items: Vec<u32>,
}

impl Relevance {
    /// Every item queries the rest.
    pub fn of_itself(labels: &[i64]) -> Self {
        let mut relevance = Self::new(labels, labels);
        relevance.of_itself = true;
        relevance
    }

    /// Queries some of which are gallery items themselves: `own_items` says which. They are left out of their own results.
    pub fn with_identity(query_labels: &[i64], gallery_labels: &[i64], own_items: &[Option<u32>]) -> Self {
        let mut relevance = Self::new(query_labels, gallery_labels);
        relevance.own_items = own_items.iter().map(|item| item.unwrap_or(NO_ITEM)).collect();
        relevance
    }

    /// Some rows as queries against some rows as the gallery, and the queries' labels; a row that is both is left out of
    /// its own results.
    pub fn of_roles(labels: &[i64], queries: &[usize], gallery: &[usize]) -> (Vec<i64>, Self) {
        let of = |rows: &[usize]| -> Vec<i64> { rows.iter().map(|&row| labels[row]).collect() };
        let place: BTreeMap<usize, u32> = gallery.iter().copied().zip(0..).collect();
        let own_items: Vec<Option<u32>> = queries.iter().map(|query| place.get(query).copied()).collect();
        let query_labels = of(queries);
        let relevance = Self::with_identity(&query_labels, &of(gallery), &own_items);
        (query_labels, relevance)
    }

    /// Queries against a gallery. A gallery item whose label no query has is a distractor.
    pub fn new(query_labels: &[i64], gallery_labels: &[i64]) -> Self {
        let mut by_label: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        for (item, &label) in (0_u32..).zip(gallery_labels) {
            by_label.entry(label).or_default().push(item);
        }
        let mut members = Vec::with_capacity(gallery_labels.len());
        let mut starts = vec![0];
        let mut gallery_classes = vec![0; gallery_labels.len()];
        let mut class_of = BTreeMap::new();
        for (class, (label, items)) in (0_u32..).zip(by_label) {
            for &item in &items {
                gallery_classes[item as usize] = class;
            }
            members.extend(items);
            starts.push(members.len());
            class_of.insert(label, class);
        }
        let query_classes = query_labels.iter().map(|label| class_of.get(label).copied().unwrap_or(NO_CLASS)).collect();
        Self { gallery_classes, query_classes, members, starts, of_itself: false, own_items: Vec::new() }
    }

    /// Number of queries.
    pub fn queries(&self) -> usize {
        self.query_classes.len()
    }

    /// Whether query i is gallery item i, and so left out of its own results.
    pub fn is_of_itself(&self) -> bool {
        self.of_itself
    }

    /// Whether a gallery item is the query.
    pub fn is_query_itself(&self, query: usize, item: usize) -> bool {
        if self.of_itself { query == item } else { self.own_item(query) == item as u32 }
    }

    fn own_item(&self, query: usize) -> u32 {
        if self.of_itself { query as u32 } else { self.own_items.get(query).copied().unwrap_or(NO_ITEM) }
    }

    /// Whether a gallery item has the query's label, be it the query itself.
    pub fn is_same_class(&self, query: usize, item: usize) -> bool {
        self.query_classes[query] == self.gallery_classes[item]
    }

    /// The gallery items relevant to a query, in order of index, the query itself left out.
    pub fn relevant(&self, query: usize) -> impl Iterator<Item = u32> {
        let own = self.own_item(query);
        self.class_members(query).iter().copied().filter(move |&item| item != own)
    }

    /// R: how many items are relevant to a query.
    pub fn relevant_count(&self, query: usize) -> usize {
        let own = self.own_item(query);
        let is_relevant = self.gallery_classes.get(own as usize) == Some(&self.query_classes[query]);
        self.class_members(query).len() - usize::from(is_relevant)
    }

    fn class_members(&self, query: usize) -> &[u32] {
        match self.query_classes[query] {
            NO_CLASS => &[],
            class => &self.members[self.starts[class as usize]..self.starts[class as usize + 1]],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_not_relevant_to_itself() {
        let relevance = Relevance::of_itself(&[5, -2, 5, 9, 5]);
        assert_eq!(relevance.relevant(2).collect::<Vec<_>>(), [0, 4]);
        assert_eq!(relevance.relevant_count(2), 2);
        assert_eq!(relevance.relevant_count(3), 0);
        assert!(relevance.is_same_class(0, 4) && !relevance.is_same_class(1, 4));
    }

    #[test]
    fn a_query_in_the_gallery_is_no_answer_to_itself() {
        let relevance = Relevance::with_identity(&[5, 9, 5], &[9, 5, 5], &[Some(2), None, Some(1)]);
        assert_eq!(relevance.relevant(0).collect::<Vec<_>>(), [1]);
        assert_eq!([0, 1, 2].map(|query| relevance.relevant_count(query)), [1, 1, 1]);
        assert!(relevance.is_query_itself(2, 1) && !relevance.is_query_itself(1, 0));
    }

    #[test]
    fn a_query_without_a_class_in_the_gallery_has_no_relevant_item() {
        let relevance = Relevance::new(&[1, 7], &[1, 2, 1]);
        assert_eq!(relevance.relevant(0).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(relevance.relevant_count(1), 0);
        assert!((0..3).all(|item| !relevance.is_same_class(1, item)));
    }
}
