//! `kinsight train` from start to finish.

use kinsight_model::finetuned::read_info;

use crate::fixture::{Fixture, assert_says, kinsight, succeed};

#[test]
fn a_run_folder_holds_what_it_promises() {
    let fixture = Fixture::new();
    let printed = succeed(&mut fixture.train("run", &[]));
    assert_says(&printed, &["Recall@1", "MAP@R", "vptsp-g+bitfit"]);
    let run = fixture.path("run");
    for file in ["config.toml", "log.jsonl", "metrics.json", "model.safetensors", "README.md", "report.html"] {
        assert!(run.join(file).is_file(), "no {file}");
    }
    let report = std::fs::read_to_string(run.join("report.html")).unwrap();
    for section in ["results", "curves", "retrieval", "why", "map", "classes", "confusion", "similarities", "data"] {
        assert!(report.contains(&format!("h2 id=\"{section}\"")), "the report has no section {section}");
    }
    assert_says(&report, &["95 % interval", "Answered worst"]);
    let card = std::fs::read_to_string(run.join("README.md")).unwrap();
    assert_says(&card, &["# vptsp-g+bitfit on images", "95 % interval", "Trained for 4 epochs"]);
    let info = read_info(&run.join("model.safetensors")).unwrap();
    assert!(info.tuning.bitfit && info.tuning.prompts.is_some());
    let model = std::fs::metadata(run.join("model.safetensors")).unwrap().len();
    let backbone = std::fs::metadata(fixture.path("backbone.safetensors")).unwrap().len();
    assert!(model < backbone / 4, "the fine-tuning alone: {model} of {backbone} bytes");
    let steps =
        std::fs::read_to_string(run.join("log.jsonl")).unwrap().lines().filter(|l| l.contains("step\"")).count();
    assert!(steps >= 12, "4 epochs of 3 batches are logged");
}

#[test]
fn the_number_of_threads_and_workers_changes_nothing() {
    let fixture = Fixture::new();
    succeed(&mut fixture.train("one", &["--threads", "1", "--set", "data.workers=1"]));
    succeed(&mut fixture.train("many", &["--threads", "3", "--set", "data.workers=5"]));
    for file in ["model.safetensors", "log.jsonl"] {
        let read = |run: &str| std::fs::read(fixture.path(run).join(file)).unwrap();
        assert!(read("one") == read("many"), "{file} differs");
    }
}

#[test]
fn every_method_trains() {
    let fixture = Fixture::new();
    for method in
        ["linear", "bitfit", "adapter", "vpt", "vptsp-m", "vptsp-g", "adapter+bitfit", "full", "lora", "ssf", "da-vpt"]
    {
        let out = format!("run-{method}");
        let mut command = kinsight();
        command.args(["train", "--epochs", "1", "--batch-size", "4", "--method", method]);
        command.arg("--backbone").arg(fixture.path("backbone.safetensors"));
        command.arg("--data").arg(fixture.images()).arg("--out").arg(fixture.path(&out));
        assert_says(&succeed(&mut command), &["Recall@1"]);
    }
}

#[test]
fn print_config_shows_what_can_be_set_and_reads_back() {
    let fixture = Fixture::new();
    let config = succeed(&mut fixture.train("unused", &["--print-config", "--lr", "0.002"]));
    assert_says(&config, &["lr = 0.002", "[tuning.prompts]", "proxy_bias_ratio", "kind = \"gru_relu\""]);
    std::fs::write(fixture.path("config.toml"), &config).unwrap();
    let again = succeed(kinsight().args(["train", "--print-config", "--config"]).arg(fixture.path("config.toml")));
    assert_eq!(config, again);
}

#[test]
fn the_published_settings_are_valid() {
    let configs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let mut seen = 0;
    for entry in std::fs::read_dir(configs).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().to_string();
        if name.starts_with("pretrain") || name.starts_with("compare") {
            continue;
        }
        succeed(kinsight().args(["train", "--print-config", "--config"]).arg(&path));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_says(&text, &["# Source", "# Command"]);
        seen += 1;
    }
    assert!(seen >= 9, "{seen} settings");
}

#[test]
fn final_selected_and_best_on_test_are_kept_apart() {
    let fixture = Fixture::new();
    let select = ["--validation-share", "0.5", "--keep", "best", "--early-stopping", "2", "--eval-every-steps", "1"];
    let settings: Vec<&str> = select.into_iter().chain(["--epochs", "30", "--batch-size", "4"]).collect();
    let output = fixture.train("run", &settings).output().unwrap();
    let message = crate::fixture::text(&output.stderr);
    assert!(output.status.success(), "{message}");
    let run = fixture.path("run");
    let read = |file: &str| std::fs::read_to_string(run.join(file)).unwrap();
    let selection: serde_json::Value = serde_json::from_str(&read("selection.json")).unwrap();
    let step = |moment: &str| selection[moment]["step"].as_u64().unwrap();
    let (last, selected) = (step("final"), step("selected_on_validation"));
    assert!(last < 30 * 3, "two evaluations in a row without a better one end the run");
    assert_eq!(last, selected + 2, "the best one was two evaluations before the end");
    assert_says(&message, &["stopped early", "validation Recall@1"]);
    // What is kept is the selected state, and its figures are the ones that stand in metrics.json.
    let metrics: serde_json::Value = serde_json::from_str(&read("metrics.json")).unwrap();
    let selected = selection["selected_on_validation"]["test"]["map_at_r"].as_f64().unwrap();
    assert!((metrics["metrics"]["map@r"].as_f64().unwrap() - selected).abs() < 1e-11, "kept to twelve decimals");
    let measured = succeed(kinsight().args(["eval", "--json", "--run"]).arg(&run));
    let measured: serde_json::Value = serde_json::from_str(&measured).unwrap();
    assert_eq!(measured["metrics"], metrics["metrics"]);
    for file in ["README.md", "report.html"] {
        assert_says(&read(file), &["Selected on validation classes", "do not quote"]);
    }
    let card = read("README.md");
    assert_says(&card, &["of 30 epochs (stopped early, after", "the best on the validation classes, on"]);
    assert!(!card.contains("Trained for 30 epochs") && !card.contains("measured after the last step"), "{card}");
}

#[test]
fn selecting_on_the_test_classes_is_refused() {
    let fixture = Fixture::new();
    for flags in [["--keep", "best"], ["--early-stopping", "3"]] {
        let message = crate::fixture::fail(&mut fixture.train("run", &flags));
        assert_says(&message, &["test classes", "hint:", "data.validation_share"]);
    }
}

#[test]
fn an_average_and_accumulated_gradients_change_what_is_learned() {
    let fixture = Fixture::new();
    let train = |out: &str, more: &[&str]| {
        succeed(&mut fixture.train(out, &[&["--batch-size", "4", "--epochs", "2"], more].concat()));
        std::fs::read(fixture.path(out).join("model.safetensors")).unwrap()
    };
    let plain = train("plain", &[]);
    assert!(plain != train("average", &["--ema", "0.5"]));
    assert!(plain != train("accumulated", &["--accumulate", "3"]));
    let log = std::fs::read_to_string(fixture.path("accumulated/log.jsonl")).unwrap();
    assert_eq!(
        log.lines().filter(|line| line.contains("step\"")).filter(|line| line.contains("\"loss\"")).count(),
        2 * 2
    );
}

#[test]
fn a_run_says_what_it_was_trained_and_measured_on() {
    let fixture = Fixture::new();
    let info = |run: &str| read_info(&fixture.path(run).join("model.safetensors")).unwrap().training.unwrap();
    // The best state on the validation classes is kept with its own proxies.
    let best =
        ["--validation-share", "0.25", "--batch-size", "6", "--keep", "best", "--epochs", "6", "--set", "eval_every=1"];
    succeed(&mut fixture.train("best", &best));
    let facts = info("best");
    assert_eq!((facts.class_names.len(), facts.validation_classes, facts.test.classes), (3, 1, 4));
    assert_eq!((facts.epochs, facts.epochs_asked, facts.centers_per_class), (6, 6, 1));
    assert!(facts.test.are_unseen() && facts.test.is_self_search() && facts.data.is_absolute());
    let read = |file: &str| std::fs::read(fixture.path("best").join(file)).unwrap();
    let selection: serde_json::Value = serde_json::from_slice(&read("selection.json")).unwrap();
    assert_eq!(selection["selected_on_validation"]["step"], facts.kept_step);
    assert!(read("proxies.safetensors") == read("checkpoints/best_proxies.safetensors"));
    // Early stopping ends before the epochs that were asked for.
    let patient = [
        "--validation-share",
        "0.25",
        "--batch-size",
        "6",
        "--early-stopping",
        "1",
        "--epochs",
        "40",
        "--set",
        "eval_every=1",
    ];
    succeed(&mut fixture.train("stopped", &patient));
    let facts = info("stopped");
    assert!(facts.stopped_early() && facts.epochs < 40, "{facts:?}");
    // A class on both sides is not one that training never saw.
    let classes = || std::fs::read_dir(fixture.images()).unwrap().map(|entry| entry.unwrap().path());
    for (class, part) in
        classes().filter(|path| path.is_dir()).flat_map(|class| ["train", "test"].map(|part| (class.clone(), part)))
    {
        let target = fixture.path("overlap").join(part).join(class.file_name().unwrap());
        std::fs::create_dir_all(&target).unwrap();
        for image in std::fs::read_dir(&class).unwrap().map(|entry| entry.unwrap().path()) {
            std::fs::hard_link(&image, target.join(image.file_name().unwrap())).unwrap();
        }
    }
    let overlap = fixture.path("overlap").display().to_string();
    succeed(&mut fixture.train("overlap-run", &["--data", &overlap, "--set", "data.allow_overlap=true"]));
    let facts = info("overlap-run");
    assert_eq!((facts.test.classes, facts.test.seen_classes, facts.test.are_unseen()), (8, 8, false));
}
