//! Comparisons as a page, as Markdown and as CSV.

use kinsight_report::comparison::{Comparison, ComparisonRow, Difference, MeanDeviation};

fn example() -> Comparison {
    let row = |name: &str, seeds, mean, deviation, trainable| ComparisonRow {
        name: name.into(),
        seeds,
        metrics: ["recall@1", "map@r"].map(|metric| (metric.into(), MeanDeviation { mean, deviation })).into(),
        trainable,
        trainable_share: trainable as f64 / 1000.0,
        images_per_second: None,
        seconds: (seeds > 0).then_some(MeanDeviation { mean: 10.0, deviation: None }),
        peak_memory_bytes: None,
    };
    let difference = |row, minus, mean, excludes_zero| Difference {
        metric: "recall@1",
        row,
        minus,
        mean,
        interval: None,
        excludes_zero,
    };
    Comparison {
        title: "Methods".into(),
        facts: vec![("images".into(), "100".into())],
        rows: vec![
            row("zero-shot", 0, 0.5, None, 0),
            row("Linear", 1, 0.5, None, 10),
            row("VPT <b>", 3, 0.91, Some(0.01732), 200),
        ],
        differences: vec![difference(1, 0, 0.0, false), difference(2, 0, 0.41, true)],
        notes: vec!["A note.".into()],
        missing: vec![("Full, seed 2".into(), "stopped".into())],
    }
}

#[test]
fn a_difference_is_found_either_way_round() {
    assert_eq!(example().difference("recall@1", 0, 2), Some((-0.41, true)));
    assert_eq!(example().difference("recall@1", 1, 0), Some((0.0, false)));
    assert_eq!(example().difference("map@r", 1, 0), None);
}

#[test]
fn deviations_need_two_values() {
    assert_eq!(MeanDeviation::of(&[]), None);
    assert_eq!(MeanDeviation::of(&[1.0]).unwrap().deviation, None);
    assert_eq!(MeanDeviation::of(&[1.0, 3.0]).unwrap().deviation, Some(2f64.sqrt()));
}

#[test]
fn the_page_shows_every_part_and_names_are_text() {
    let page = example().to_html();
    assert!(page.contains("VPT &lt;b&gt;") && !page.contains("VPT <b>"));
    for part in ["Recall@1 against time", "<circle", "+41.0", "Missing: Full, seed 2 (stopped)", "A note.", "(marked)"]
    {
        assert!(page.contains(part), "no {part:?}");
    }
    assert!(!page.contains("http:") && !page.contains("https:"), "the page loads nothing");
    assert_eq!(page, example().to_html());
}

#[test]
fn the_tables_show_every_row_and_mark_what_excludes_zero() {
    let text = example().to_markdown();
    let parts = [
        "| zero-shot | 50.0 |",
        "| VPT &lt;b> | 91.0 ± 1.7 |",
        "+41.0 *",
        "+0.0 |",
        "Missing: Full, seed 2",
        "A note.",
    ];
    for part in parts {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let csv = example().to_csv();
    assert_eq!(csv.lines().count(), 4);
    let columns = csv.lines().map(|line| line.split(',').count()).collect::<Vec<_>>();
    assert!(columns.iter().all(|count| *count == columns[0]), "{csv}");
}
