#![allow(warnings)]
#[path = "/tmp/old/src/report/mod.rs"]
mod report;
const HOSTILE: &str =
    "</title></style></script><img src=x onerror=\"alert(1)\">'\"&amp;<!-- {0} %s \0\u{202e}https://example.org/x.png";

mod a {
    use crate::report::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;
    pub fn picture(name: &str, bytes: &[u8]) -> Picture {
        Picture {
            label: name.into(),
            caption: format!("{name}.jpg"),
            format: PictureFormat::Jpeg,
            bytes: Arc::from(bytes),
        }
    }

    fn hit(name: &str, bytes: &[u8], correct: bool) -> Hit {
        Hit { picture: picture(name, bytes), similarity: 0.5, correct }
    }

    /// A report with something in every part and `name` wherever a user's string goes.
    pub fn full(name: &str) -> Report {
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
            curves: vec![Curve {
                name: name.into(),
                points: vec![(0.0, 0.2), (1.0, f64::NAN), (2.0, 0.5), (3.0, 0.6)],
            }],
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
}
mod b {
    use kinsight_report::run::*;
    use kinsight_report::*;
    use std::collections::BTreeMap;
    pub fn picture(name: &str, bytes: &[u8]) -> Picture {
        Picture::jpeg(name, format!("{name}.jpg"), bytes.to_vec())
    }

    fn hit(name: &str, bytes: &[u8], correct: bool) -> Hit {
        Hit { picture: picture(name, bytes), similarity: 0.5, correct }
    }

    /// A report with something in every part and `name` wherever a user's string goes.
    pub fn full(name: &str) -> Report {
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
            curves: vec![Curve {
                name: name.into(),
                points: vec![(0.0, 0.2), (1.0, f64::NAN), (2.0, 0.5), (3.0, 0.6)],
            }],
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
}
fn main() {
    for (n, name) in [("tame", "Swallowtail & Co"), ("hostile", HOSTILE)] {
        std::fs::write(format!("/tmp/R.old.{n}.html"), a::full(name).to_html()).unwrap();
        std::fs::write(format!("/tmp/R.new.{n}.html"), b::full(name).to_html()).unwrap();
    }
}
