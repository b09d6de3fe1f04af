//! Tests of the whole document: what people see.

use std::collections::BTreeMap;

use kinsight_report::run::*;
use kinsight_report::{Picture, Report};

/// Tries to leave every place that a string can be in: an element, an attribute, a script, a comment, a style.
const HOSTILE: &str =
    "</title></style></script><img src=x onerror=\"alert(1)\">'\"&amp;<!-- {0} %s \0\u{202e}https://example.org/x.png";

/// The texts of the elements that `start` with this, up to the next tag.
fn texts<'a>(html: &'a str, start: &str) -> Vec<&'a str> {
    html.split(start).skip(1).filter_map(|rest| rest.split_once('>')?.1.split('<').next()).collect()
}

fn headings(html: &str) -> Vec<&str> {
    html.split("<section ").skip(1).filter_map(|rest| texts(rest, "<h2 ").first().copied()).collect()
}

/// The values of an attribute, wherever it is.
fn attributes<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    html.split(&format!(" {name}=\"")).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

fn picture(name: &str, bytes: &[u8]) -> Picture {
    Picture::jpeg(name, format!("{name}.jpg"), bytes.to_vec())
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
        explanations: vec![ExplainedPair {
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
fn every_part_is_shown_and_linked() {
    let html = full("Swallowtail").to_html();
    let expected = [
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
        "Settings",
    ];
    assert_eq!(headings(&html), expected);
    let bar = html.split_once("<nav ").unwrap().1.split_once("</nav>").unwrap().0;
    assert_eq!(texts(bar, "<a "), expected);
    for link in attributes(bar, "href") {
        assert!(html.contains(&format!(" id=\"{}\"", &link[1..])), "{link} leads nowhere");
    }
}

#[test]
fn hostile_strings_stay_text() {
    let (hostile, tame) = (full(HOSTILE).to_html(), full("Tame").to_html());
    for sign in ['<', '>', '"'] {
        assert_eq!(hostile.matches(sign).count(), tame.matches(sign).count(), "{sign} comes out as markup somewhere");
    }
    let shown = "&lt;/title&gt;&lt;/style&gt;&lt;/script&gt;&lt;img src=x onerror=&quot;alert(1)&quot;&gt;'&quot;&amp;amp;&lt;!-- {0} \
                 %s \u{fffd}\u{fffd}https://example.org/x.png";
    assert_eq!(texts(&hostile, "<h1"), [shown]);
}

#[test]
fn nothing_is_loaded_from_anywhere() {
    for html in [full("Swallowtail").to_html(), full(HOSTILE).to_html(), Report::default().to_html()] {
        for attribute in ["href", "src"] {
            for value in attributes(&html, attribute) {
                assert!(value.starts_with('#') || value.starts_with("data:"), "{attribute}=\"{value}\"");
            }
        }
        assert!(html.contains("http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';"));
    }
    let html = full("Swallowtail").to_html();
    for forbidden in ["http://", "https://", "@import", "url(", "fetch(", "XMLHttpRequest", "import("] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn parts_without_data_are_left_out() {
    let html = Report::default().to_html();
    assert!(headings(&html).is_empty());
    for element in ["<table", "<figure", "<section"] {
        assert!(!html.contains(element), "{element}");
    }
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
    let html = report.to_html();
    assert_eq!(headings(&html), ["Results"]);
    assert!(!html.contains("class=\"n best\""), "one method is not the best of anything");
    assert!(!html.contains("class=\"headline\""), "no method is featured");
    assert!(!html.contains("bootstrap intervals"), "there are none");
}

#[test]
fn numbers_that_are_not_finite_are_dashes() {
    let mut report = full("linear");
    for row in &mut report.methods {
        (row.recall_at_1, row.map_at_r, row.trainable_share) = (f64::NAN, f64::INFINITY, f64::NAN);
        row.seconds = Some(f64::NAN);
    }
    let html = report.to_html();
    assert_eq!(texts(&html, "<span class=\"big\""), ["–", "–", "–", "–"]);
    assert!(!texts(&html, "<td class=\"n best\"").contains(&"–"));
    for word in [">NaN", ">inf", "\"NaN", "\"inf"] {
        assert!(!html.contains(word), "{word}");
    }
}

#[test]
fn the_best_of_each_column_and_the_improvement_are_told() {
    let html = full("linear").to_html();
    assert_eq!(texts(&html, "<td class=\"n best\""), ["80.0", "40.0", "81.0"], "R@4 was not measured");
    assert_eq!(texts(&html, "<b class=\"up\""), ["+20.0 points", "+10.0 points"]);
    assert!(html.contains("95 % interval </span>78.0 – 83.0"));
    let mut worse = full("linear");
    worse.methods[1].recall_at_1 = 0.5;
    assert_eq!(texts(&worse.to_html(), "<b class=\"down\""), ["−10.0 points"]);
}

#[test]
fn every_place_shows_its_own_picture_and_equal_ones_are_stored_once() {
    let html = full("Swallowtail").to_html();
    let stored: BTreeMap<String, &str> = html
        .split("<symbol id=\"")
        .skip(1)
        .filter_map(|symbol| Some((format!("#{}", symbol.split('"').next()?), *attributes(symbol, "href").first()?)))
        .collect();
    let picture = |name: &str| stored.get(name).copied().unwrap_or_default();
    assert_eq!(stored.keys().filter(|name| name.starts_with("#p")).count(), 4, "one, two, query and seen");
    let places: Vec<&str> = attributes(&html, "href").into_iter().filter(|href| href.starts_with("#p")).collect();
    assert_eq!(places.len(), 10 * 5 + 3 + 2 + 2, "hits, classes, a pair explained, a pair confused");
    assert_eq!(html.matches("class=\"pic missing\"").count(), 10 * 2, "a picture without bytes is said to be missing");
    // In base64: query, one, two, and again one, two for the second ranking of the first row.
    let expected = ["cXVlcnk=", "b25l", "dHdv", "b25l", "dHdv"].map(|bytes| format!("data:image/jpeg;base64,{bytes}"));
    assert_eq!(places[..5].iter().map(|place| picture(place)).collect::<Vec<_>>(), expected);
}

#[test]
fn right_and_wrong_are_told_in_words_and_by_sign() {
    let html = full("Swallowtail").to_html();
    for (verdict, count) in [("right", 30), ("wrong", 30)] {
        let hits: Vec<&str> = html.split(&format!("<button class=\"hit {verdict}\"")).skip(1).collect();
        assert_eq!(hits.len(), count);
        for hit in hits {
            let hit = hit.split_once("</button>").unwrap().0;
            assert!(hit.contains(&format!(">{verdict}: <")) && hit.contains(&format!("\"#{verdict}\"")), "{hit}");
        }
    }
    assert!(html.contains("1 of 3 right") && html.contains("2 of 3 right"));
}

#[test]
fn every_picture_chart_and_table_says_what_it_is() {
    let html = full("Swallowtail").to_html();
    for tag in html.split("<svg").skip(1).map(|rest| rest.split('>').next().unwrap()) {
        assert!(tag.contains("aria-hidden=\"true\"") || tag.contains("role=\"img\" aria-label=\""), "{tag}");
    }
    for tag in html.split("<th").skip(1).map(|rest| rest.split('>').next().unwrap()).filter(|tag| *tag != "ead") {
        assert!(tag.contains("scope=\"col\"") || tag.contains("scope=\"row\""), "<th{tag}");
    }
    assert_eq!(html.matches("<table").count(), html.matches("<caption").count());
}

#[test]
fn charts_name_what_there_is_to_tell_apart() {
    let curve = |name: &str| Curve { name: name.into(), points: vec![(0.0, 1.0), (1.0, 2.0)] };
    let chart = |names: &[&str]| Chart { curves: names.iter().map(|name| curve(name)).collect(), ..Chart::default() };
    let html = |charts| Report { charts, ..Report::default() }.to_html();
    let single = html(vec![chart(&["linear"])]);
    assert!(!single.contains("class=\"legend\"") && !single.contains("class=\"labels\""));
    let several = html(vec![chart(&["linear", "full"]), chart(&["full"])]);
    // One name has one color in all charts.
    assert_eq!(texts(&several, "<text class=\"s0\""), ["linear"]);
    assert_eq!(texts(&several, "<text class=\"s1\""), ["full", "full"]);
}

#[test]
fn sentences_hold_for_the_data_they_are_about() {
    let html = full("Swallowtail").to_html();
    assert!(!html.contains("far more pairs"), "twice as many are not far more");
    assert!(html.contains("Classes outside the table"));
    let mut report = full("Swallowtail");
    report.similarities[0].pairs = (30, 6000);
    report.confusion.as_mut().unwrap().shares = vec![vec![0.9, 0.1], vec![0.5, 0.5]];
    let html = report.to_html();
    assert!(html.contains("far more pairs") && !html.contains("Classes outside the table"));
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
    for drawing in attributes(&html, "d") {
        assert!(!drawing.contains("NaN") && !drawing.contains("inf") && !drawing.contains('e'), "{drawing}");
    }
}

#[test]
fn the_same_report_gives_the_same_text_also_from_its_json() {
    let mut report = full("Swallowtail");
    assert_eq!(report.to_html(), report.to_html());
    // JSON has no word for what is not finite.
    report.charts.clear();
    report.explanations.clear();
    report.map = None;
    report.methods.iter_mut().for_each(|row| row.recall_at.retain(|_, value| value.is_finite()));
    report.classes.as_mut().unwrap().worst.pop();
    report.confusion = None;
    let read: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(read, report);
    assert_eq!(read.to_html(), report.to_html());
}
