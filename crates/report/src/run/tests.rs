//! Tests of the whole document.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::wellformed::{Element, read};
use super::*;

/// Tries to leave every place that a string can be in: an element, an attribute, a script, a comment, a style.
const HOSTILE: &str =
    "</title></style></script><img src=x onerror=\"alert(1)\">'\"&amp;<!-- {0} %s \0\u{202e}https://example.org/x.png";

fn elements(report: &Report) -> Vec<Element> {
    read(&report.to_html()).unwrap_or_else(|fault| panic!("{fault}"))
}

fn with_class<'a>(elements: &'a [Element], class: &str) -> Vec<&'a Element> {
    elements.iter().filter(|element| element.has_class(class)).collect()
}

fn headings(elements: &[Element]) -> Vec<&str> {
    elements
        .iter()
        .filter(|element| element.name == "h2" && !element.ancestors.iter().any(|name| name == "dialog"))
        .map(|element| element.text.as_str())
        .collect()
}

fn picture(name: &str, bytes: &[u8]) -> Picture {
    Picture { label: name.into(), caption: format!("{name}.jpg"), format: PictureFormat::Jpeg, bytes: Arc::from(bytes) }
}

fn hit(name: &str, bytes: &[u8], correct: bool) -> Hit {
    Hit { picture: picture(name, bytes), similarity: 0.5, correct }
}

/// A report with something in every part and `name` wherever a user's string goes.
fn full(name: &str) -> Report {
    let method = |role, recall: f64, parameters| MethodRow {
        method: name.into(),
        role,
        trainable_parameters: parameters,
        trainable_share: 0.021,
        recall_at_1: recall,
        recall_at_1_interval: Some((recall - 0.02, recall + 0.03)),
        map_at_r_interval: None,
        recall_at: BTreeMap::from([(1, recall), (2, recall + 0.01), (4, f64::NAN)]),
        map_at_r: recall / 2.0,
        seconds: (parameters > 0).then_some(108.0),
        note: name.into(),
    };
    let chart = |quantity| Chart {
        title: name.into(),
        x_label: name.into(),
        quantity,
        curves: vec![Curve { name: name.into(), points: vec![(0.0, 0.2), (1.0, f64::NAN), (2.0, 0.5), (3.0, 0.6)] }],
        references: vec![ReferenceLine { name: name.into(), value: 0.3 }],
    };
    let ranking = |correct| Ranking {
        method: name.into(),
        hits: vec![hit(name, b"one", correct), hit(name, b"two", true), hit(name, b"", false)],
    };
    let class = |value| ClassScore {
        name: name.into(),
        images: 12,
        value,
        before: Some(0.4),
        confused_with: Some(name.into()),
        example: Some(picture(name, b"one")),
    };
    Report {
        title: name.into(),
        subtitle: name.into(),
        created: name.into(),
        warnings: vec![Warning { message: name.into(), hint: Some(name.into()) }],
        methods: vec![method(MethodRole::Baseline, 0.6, 0), method(MethodRole::Featured, 0.8, 1234)],
        charts: vec![chart(Quantity::Number), chart(Quantity::Share)],
        retrieval: Some(RetrievalGrid {
            note: name.into(),
            rows: vec![
                RetrievalRow {
                    kind: QueryKind::Random,
                    query: picture(name, b"query"),
                    rankings: vec![ranking(false), ranking(true)]
                };
                10
            ],
        }),
        classes: Some(ClassScores {
            metric: name.into(),
            method: name.into(),
            worst: vec![class(0.2), class(f64::NAN)],
            best: vec![class(1.0)],
        }),
        explanations: vec![Explanation {
            query: picture(name, b"seen"),
            answer: picture(name, b"two"),
            correct: false,
            similarity: 0.7,
            rest: 0.2,
            grid: 2,
            evidence: (0..16).map(|part| part as f32 / 64.0 - 0.05).collect(),
            from_query: vec![0.1, 0.2, -0.1, 0.3],
            from_answer: vec![f32::NAN, 0.0, 0.0, 0.0],
            attention_query: vec![0.25; 4],
            attention_answer: vec![0.0; 4],
            prompt_share: 0.1,
        }],
        confusion: Some(Confusion {
            among: name.into(),
            method: name.into(),
            classes: vec![name.into(), name.into()],
            shares: vec![vec![0.9, 0.1], vec![f64::NAN, 0.5]],
            pairs: vec![ConfusedPair {
                class: name.into(),
                taken_for: name.into(),
                share: 0.1,
                example: Some((picture(name, b"one"), picture(name, b"two"))),
            }],
        }),
        similarities: vec![SimilarityDistribution {
            method: name.into(),
            pairs: (30, 60),
            histogram: vec![(0, 0), (0, 10), (10, 50), (20, 0)],
            thresholds: vec![Threshold { similarity: 0.4, false_match_rate: 0.01, false_non_match_rate: 0.3 }],
            equal_error_rate: Some(0.1),
            area_under_roc: None,
        }],
        map: Some(EmbeddingMap {
            note: name.into(),
            points: vec![
                MapPoint { x: -3.0, y: 8.0, class: 0, caption: name.into(), astray: true },
                MapPoint { x: f64::NAN, y: 0.0, class: 1, caption: name.into(), astray: false },
            ],
            classes: vec![name.into(), name.into()],
            tiles: picture(name, b"tiles"),
            tile_px: 44,
            columns: 32,
        }),
        data: Some(DataFacts {
            source: name.into(),
            parts: vec![DataPart { name: name.into(), classes: 20, images: 12_345 }],
            notes: vec![name.into()],
        }),
        settings: vec![
            Setting { key: format!("table.{name}"), value: name.into() },
            Setting { key: name.into(), value: name.into() },
        ],
        next_steps: vec![NextStep { what: name.into(), command: name.into() }],
    }
}

#[test]
fn every_part_is_shown_in_a_sound_document() {
    let elements = elements(&full("Swallowtail"));
    assert_eq!(
        headings(&elements),
        [
            "Results",
            "Learning curves",
            "What it finds",
            "Why it finds them",
            "Map",
            "Classes",
            "Confusion",
            "Thresholds",
            "Next steps",
            "Data",
            "Settings"
        ]
    );
    let links: Vec<&str> = elements.iter().filter(|e| e.name == "a").map(|e| e.attribute("href")).collect();
    let sections = ["results", "curves", "retrieval", "why", "map", "classes", "confusion", "similarities"];
    let expected: Vec<String> =
        ["main"].iter().chain(&sections).chain(&["next", "data", "settings"]).map(|id| format!("#{id}")).collect();
    assert_eq!(links, expected);
}

#[test]
fn hostile_strings_stay_text() {
    let elements = elements(&full(HOSTILE));
    let tame: Vec<String> = self::elements(&full("Tame")).into_iter().map(|element| element.name).collect();
    let names: Vec<&str> = elements.iter().map(|element| element.name.as_str()).collect();
    assert_eq!(names.iter().filter(|name| **name == "script").count(), 1);
    assert_eq!(names.iter().filter(|name| **name == "img").count(), 0);
    assert_eq!(names.len(), tame.len());
    for element in &elements {
        assert!(!element.attributes.keys().any(|key| key.starts_with("on")), "{element:?}");
        if ["script", "style"].contains(&element.name.as_str()) {
            assert!(!element.text.contains("alert(1)"));
        }
    }
    let title = elements.iter().find(|element| element.name == "h1").unwrap();
    assert_eq!(title.text, HOSTILE.replace(['\0', '\u{202e}'], "\u{fffd}"));
}

#[test]
fn nothing_is_loaded_from_anywhere() {
    for report in [full("Swallowtail"), full(HOSTILE), Report::default()] {
        let elements = elements(&report);
        for element in &elements {
            for (key, value) in &element.attributes {
                if ["href", "src", "srcset", "action", "data", "poster"].contains(&key.as_str()) {
                    assert!(value.starts_with('#') || value.starts_with("data:"), "{key}=\"{value}\"");
                }
                assert!(!(key == "style" && value.contains("url(")), "{value}");
            }
        }
        let policy = elements.iter().find(|e| e.attribute("http-equiv") == "Content-Security-Policy").unwrap();
        assert!(policy.attribute("content").starts_with("default-src 'none';"));
    }
    let html = full("Swallowtail").to_html();
    for forbidden in ["http://", "https://", "@import", "url(", "fetch(", "XMLHttpRequest", "import("] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn an_empty_report_is_a_sound_document_without_sections() {
    let elements = elements(&Report::default());
    assert!(headings(&elements).is_empty());
    assert!(!elements.iter().any(|element| ["table", "figure", "section"].contains(&element.name.as_str())));
}

#[test]
fn parts_without_data_are_left_out() {
    let report = Report {
        charts: vec![Chart {
            curves: vec![Curve { name: "linear".into(), points: vec![(0.0, f64::NAN)] }],
            ..Chart::default()
        }],
        retrieval: Some(RetrievalGrid::default()),
        classes: Some(ClassScores::default()),
        methods: vec![MethodRow { method: "linear".into(), recall_at_1: 0.5, ..MethodRow::default() }],
        ..Report::default()
    };
    let elements = elements(&report);
    assert_eq!(headings(&elements), ["Results"]);
    assert!(with_class(&elements, "best").is_empty(), "one method is not the best of anything");
    assert!(with_class(&elements, "headline").is_empty(), "no method is featured");
}

#[test]
fn numbers_that_are_not_finite_are_dashes() {
    let mut report = full("linear");
    for row in &mut report.methods {
        (row.recall_at_1, row.map_at_r, row.trainable_share) = (f64::NAN, f64::INFINITY, f64::NAN);
        row.seconds = Some(f64::NAN);
    }
    let elements = elements(&report);
    let big: Vec<&str> = with_class(&elements, "big").iter().map(|element| element.text.as_str()).collect();
    assert_eq!(big, ["–", "–", "–", "–"]);
    assert!(with_class(&elements, "best").iter().all(|cell| !cell.text.contains('–')));
    let body = elements.iter().find(|element| element.name == "body").unwrap();
    for word in ["NaN", "inf"] {
        let found = body.text.split_whitespace().any(|shown| shown.trim_end_matches(['%', '.', ',']) == word);
        assert!(!found, "{word}");
    }
}

#[test]
fn the_best_of_each_column_is_marked() {
    let elements = elements(&full("linear"));
    let best: Vec<&str> = with_class(&elements, "best").iter().map(|cell| cell.text.as_str()).collect();
    assert_eq!(
        best,
        ["80.0 (best)+20.095 % interval 78.0 – 83.0", "40.0 (best)+10.0", "81.0 (best)"],
        "R@4 was not measured"
    );
}

#[test]
fn the_improvement_over_the_baseline_is_told() {
    let elements = elements(&full("VPTSP-G"));
    let up = with_class(&elements, "up");
    assert_eq!(up.iter().map(|element| element.text.as_str()).collect::<Vec<_>>(), ["+20.0 points", "+10.0 points"]);
    let mut worse = full("VPTSP-G");
    worse.methods[1].recall_at_1 = 0.5;
    let elements = self::elements(&worse);
    assert_eq!(with_class(&elements, "down")[0].text, "−10.0 points");
}

#[test]
fn equal_pictures_are_stored_once() {
    let elements = elements(&full("Swallowtail"));
    let stored = elements.iter().filter(|element| element.name == "image").count();
    assert_eq!(stored, 4, "one, two, query and seen");
    let shown = elements.iter().filter(|e| e.name == "use" && e.attribute("href").starts_with("#p")).count();
    assert_eq!(shown, 10 * 5 + 3 + 2 + 2, "answers, classes, a pair explained, a pair confused");
    assert_eq!(with_class(&elements, "missing").len(), 10 * 2, "a picture without bytes is said to be missing");
}

#[test]
fn every_place_shows_its_own_picture() {
    let elements = elements(&full("Swallowtail"));
    let stored: BTreeMap<String, &str> = elements
        .windows(2)
        .filter(|pair| pair[1].name == "image")
        .map(|pair| (format!("#{}", pair[0].attribute("id")), pair[1].attribute("href")))
        .collect();
    let places = elements.iter().filter(|element| element.name == "use");
    let shown: Vec<&str> = places.filter_map(|place| stored.get(place.attribute("href")).copied()).collect();
    // In base64: query, one, two, and again one, two for the second ranking of the first row.
    let expected = ["cXVlcnk=", "b25l", "dHdv", "b25l", "dHdv"].map(|bytes| format!("data:image/jpeg;base64,{bytes}"));
    assert_eq!(shown[..5], expected);
}

#[test]
fn right_and_wrong_are_told_in_words_and_by_sign() {
    let elements = elements(&full("Swallowtail"));
    let hits = with_class(&elements, "hit");
    assert_eq!(hits.len(), 60);
    for hit in hits {
        let word = if hit.has_class("right") { "right: " } else { "wrong: " };
        assert!(hit.text.contains(word), "{}", hit.text);
    }
    for sign in ["#right", "#wrong"] {
        assert!(
            elements.iter().any(|e| e.attribute("href") == sign && e.ancestors.iter().any(|name| name == "button"))
        );
    }
    let html = full("Swallowtail").to_html();
    assert!(html.contains("1 of 3 right") && html.contains("2 of 3 right"));
}

#[test]
fn every_picture_chart_and_table_says_what_it_is() {
    for element in elements(&full("Swallowtail")) {
        if element.attribute("role") == "img" {
            assert!(!element.attribute("aria-label").is_empty(), "{element:?}");
        }
        if element.name == "svg" && element.attribute("role") != "img" {
            assert_eq!(element.attribute("aria-hidden"), "true", "{element:?}");
        }
        if element.name == "th" {
            assert!(["col", "row"].contains(&element.attribute("scope")), "{element:?}");
        }
    }
    let html = full("Swallowtail").to_html();
    assert_eq!(html.matches("<table").count(), html.matches("<caption").count());
}

#[test]
fn a_single_curve_needs_no_names() {
    let curve = Curve { name: "linear".into(), points: vec![(0.0, 1.0), (1.0, 2.0)] };
    let report = Report { charts: vec![Chart { curves: vec![curve], ..Chart::default() }], ..Report::default() };
    let elements = elements(&report);
    assert!(with_class(&elements, "legend").is_empty() && with_class(&elements, "labels").is_empty());
    assert_eq!(headings(&elements), ["Learning curves"]);
}

#[test]
fn one_name_has_one_color_in_all_charts() {
    let curve = |name: &str| Curve { name: name.into(), points: vec![(0.0, 1.0), (1.0, 2.0)] };
    let chart = |names: &[&str]| Chart { curves: names.iter().map(|name| curve(name)).collect(), ..Chart::default() };
    let report = Report { charts: vec![chart(&["linear", "full"]), chart(&["full"])], ..Report::default() };
    let labels: Vec<(String, String)> = elements(&report)
        .into_iter()
        .filter(|element| element.name == "text" && !element.attribute("class").is_empty())
        .map(|element| (element.text.clone(), element.attribute("class").to_owned()))
        .collect();
    let expected = [("linear", "s0"), ("full", "s1"), ("full", "s1")];
    let expected: Vec<(String, String)> = expected.map(|(name, class)| (name.into(), class.into())).to_vec();
    assert_eq!(labels, expected);
}

#[test]
fn long_curves_stay_small_and_wild_values_are_placed() {
    let big = f64::from(f32::MAX);
    let points = (0..200_000).map(|step| (f64::from(step), if step == 777 { big } else { -big })).collect();
    let report = Report {
        charts: vec![Chart { curves: vec![Curve { name: "loss".into(), points }], ..Chart::default() }],
        ..Report::default()
    };
    let html = report.to_html();
    assert!(html.len() < 120_000, "{} bytes", html.len());
    for element in elements(&report).iter().filter(|element| element.name == "path") {
        let drawing = element.attribute("d");
        assert!(!drawing.contains("NaN") && !drawing.contains("inf") && !drawing.contains('e'), "{drawing}");
    }
}

#[test]
fn the_same_report_gives_the_same_text() {
    assert_eq!(full("Swallowtail").to_html(), full("Swallowtail").to_html());
}
