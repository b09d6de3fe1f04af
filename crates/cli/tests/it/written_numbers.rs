//! Numbers that are written and read back are the same numbers, bit for bit, whatever they are.

use std::collections::BTreeMap;
use std::path::Path;

use kinsight_index::Calibration;
use kinsight_retrieval::QueryScore;
use kinsight_train::TrainConfig;
use kinsight_train::compare::RunFigures;
use kinsight_train::run::{
    Figures, LogRecord, Progress, RunCost, RunFolder, RunLog, RunQueries, SelectionState, read_log,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Any finite number by its bits: subnormal ones, negative zero and the largest among them.
fn number() -> impl Strategy<Value = f64> {
    any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite())
}

/// Equal finite numbers have equal texts, and different ones different texts, negative zero included.
fn survives<T: Serialize + DeserializeOwned>(value: &T) {
    let text = serde_json::to_string(value).unwrap();
    let read: T = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
}

fn log(path: &Path, numbers: &[f64]) {
    let figures = Figures { recall_at_1: numbers[0], map_at_r: numbers[1] };
    let records = [
        LogRecord::Step { step: 1, epoch: 0, loss: numbers[2], lr: numbers[3], images_per_second: Some(numbers[4]) },
        LogRecord::Evaluation {
            step: 1,
            epochs: 1,
            recall_at_1: numbers[5],
            map_at_r: numbers[6],
            validation: Some(figures),
        },
    ];
    let mut log = RunLog::open_at(path, 0, 0).unwrap();
    records.iter().for_each(|record| log.append(record).unwrap());
    let read = read_log(path).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), serde_json::to_string(&records).unwrap());
}

fn run_files(root: &Path, numbers: &[f64]) {
    let folder = RunFolder::at(root);
    let cost = RunCost { seconds: Some(numbers[0]), images_per_second: Some(numbers[1]), ..RunCost::default() };
    let scores = vec![QueryScore { recall_at_1: numbers[2], map_at_r: Some(numbers[3]) }];
    let queries = RunQueries { indices: vec![0], labels: vec![0], scores };
    let metrics = BTreeMap::from([("recall@1", numbers[4]), ("map@r", numbers[5])]);
    folder.write(&folder.model(), b"").unwrap();
    folder.write_json(&folder.cost(), serde_json::to_vec_pretty(&cost)).unwrap();
    folder.write_json(&folder.queries(), serde_json::to_vec(&queries)).unwrap();
    folder.write_json(&folder.metrics(), serde_json::to_vec_pretty(&json!({ "metrics": metrics }))).unwrap();
    let read = RunFigures::of_run(&folder).unwrap().unwrap();
    let written = json!({ "metrics": metrics, "queries": queries, "cost": cost });
    assert_eq!(serde_json::to_value(&read).unwrap().to_string(), written.to_string());
    survives(&read);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_as_it_was_written(numbers in proptest::collection::vec(number(), 8)) {
        let folder = tempfile::tempdir().unwrap();
        log(&folder.path().join("log.jsonl"), &numbers);
        run_files(folder.path(), &numbers);

        let moment = json!({ "step": 1, "epochs": 1, "test": { "recall_at_1": numbers[0], "map_at_r": numbers[1] },
            "validation": { "recall_at_1": numbers[2], "map_at_r": numbers[3] } });
        let selection: SelectionState = serde_json::from_value(json!({
            "final": moment, "selected_on_validation": moment, "best_on_test_not_to_be_quoted": moment,
            "best_value": numbers[4], "best_test_value": numbers[5], "since_best": 0,
        })).unwrap();
        survives(&selection);
        survives(&Progress {
            step: 1,
            epoch: 0,
            batch: 1,
            seconds: numbers[6],
            backbone_fingerprint: String::new(),
            data_fingerprint: String::new(),
            selection,
        });
        let point = json!({ "threshold": numbers[3], "false_match_rate": numbers[4], "false_non_match_rate": numbers[5] });
        let calibration: Calibration = serde_json::from_value(json!({
            "rates": { "duplicate": numbers[0], "same": numbers[1], "similar": numbers[2] },
            "duplicate": numbers[0], "same": numbers[1], "similar": numbers[2],
            "images": 1, "labels": 1, "genuine_pairs": 1, "impostor_pairs": 1, "curve": [point],
        })).unwrap();
        survives(&calibration);
        let mut config = TrainConfig::default();
        (config.optimizer.lr, config.optimizer.lr_proxies) = (numbers[6], numbers[7]);
        let text = config.to_toml().unwrap();
        let read: TrainConfig = toml::from_str(&text).unwrap();
        prop_assert_eq!(read.optimizer.lr.to_bits(), numbers[6].to_bits());
        prop_assert_eq!(read.optimizer.lr_proxies.to_bits(), numbers[7].to_bits());
    }
}
