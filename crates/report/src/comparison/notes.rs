//! What a mark at a difference means, and what it does not.

use super::ComparisonRow;

/// The footnotes of the tables: what the marks mean for `comparisons` differences that hold together with probability
/// `confidence`.
pub fn notes(rows: &[ComparisonRow], confidence: f64, comparisons: usize, has_intervals: bool) -> Vec<String> {
    if !has_intervals {
        return vec![
            "No difference is marked, because the classes of the queries are not known, or there is only one. Folders of \
             older versions do not hold them: the same command without --tables-only measures the backbone again and adds \
             them."
                .into(),
        ];
    }
    let mut notes = vec![format!(
        "A mark means that the interval of the difference leaves out zero. The intervals are corrected for the {comparisons} \
         differences in both metrics (Bonferroni), so that they hold together with a probability of {:.0} %: where no row \
         differs from any other, at most one such table in {:.0} has a mark anywhere.",
        100.0 * confidence,
        1.0 / (1.0 - confidence)
    )];
    let single: Vec<&str> = rows.iter().filter(|row| row.seeds == 1).map(|row| row.name.as_str()).collect();
    notes.push(if rows.iter().all(|row| row.seeds < 2) {
        "Classes count as drawn at random: a marked difference is to be expected for other classes of this kind of images. \
         With one seed, how much training varies cannot be known: it may be the luck of that seed. Train more, as with \
         --seeds 0,1,2."
            .into()
    } else {
        "Classes and seeds both count as drawn at random: a marked difference is to be expected for other classes of this \
         kind of images and for other seeds. It says nothing about other kinds of images or other settings."
            .to_string()
    });
    if !single.is_empty() && rows.iter().any(|row| row.seeds > 1) {
        notes.push(format!("One seed only: {}; taken to vary over seeds as the others do.", single.join(", ")));
    }
    notes
}
