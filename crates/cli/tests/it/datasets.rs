//! Known data sets from their publishers' folders, through the program.

use std::fs;

use serde_json::Value;

use crate::fixture::{Fixture, assert_says, fail, kinsight, succeed};

/// The fixture's images with the annotations of CUB-200-2011 or of Stanford Online Products around them.
struct Annotated {
    fixture: Fixture,
    /// Class folder and file of each image.
    images: Vec<(String, String)>,
}

impl Annotated {
    fn new() -> Self {
        let fixture = Fixture::new();
        let mut images = Vec::new();
        for class in fs::read_dir(fixture.images()).unwrap().map(|entry| entry.unwrap().path()).filter(|p| p.is_dir()) {
            for image in fs::read_dir(&class).unwrap().map(|entry| entry.unwrap()) {
                let name = |name: &std::ffi::OsStr| name.to_string_lossy().to_string();
                images.push((name(class.file_name().unwrap()), name(&image.file_name())));
            }
        }
        images.retain(|(class, _)| !class.starts_with('.'));
        images.sort();
        Self { fixture, images }
    }

    fn class(&self, folder: &str) -> usize {
        let mut classes: Vec<&String> = self.images.iter().map(|(class, _)| class).collect();
        classes.dedup();
        classes.iter().position(|class| *class == folder).unwrap() + 1
    }

    fn cub(&self) {
        let root = self.fixture.path("cub");
        fs::create_dir(&root).unwrap();
        fs::rename(self.fixture.images(), root.join("images")).unwrap();
        // The folders carry the class's number, as the publisher's do; blanks are not among them.
        let (mut list, mut labels) = (String::new(), String::new());
        for (number, (class, file)) in (1..).zip(&self.images) {
            let renamed = class.replace(' ', "_");
            if renamed != *class && root.join("images").join(class).is_dir() {
                fs::rename(root.join("images").join(class), root.join("images").join(&renamed)).unwrap();
            }
            list += &format!("{number} {renamed}/{file}\n");
            labels += &format!("{number} {}\n", self.class(class));
        }
        fs::write(root.join("images.txt"), list).unwrap();
        fs::write(root.join("image_class_labels.txt"), labels).unwrap();
    }
}

#[test]
fn a_known_layout_is_recognized_by_train_and_eval() {
    let annotated = Annotated::new();
    annotated.cub();
    let data = annotated.fixture.path("cub");
    let run = ["--data", data.to_str().unwrap(), "--epochs", "1"];
    succeed(&mut annotated.fixture.train("run", &run));
    let config = fs::read_to_string(annotated.fixture.path("run/config.toml")).unwrap();
    assert_says(&config, &["cub"]);
    let measured = succeed(kinsight().args(["eval", "--json", "--run"]).arg(annotated.fixture.path("run")));
    let measured: Value = serde_json::from_str(&measured).unwrap();
    assert_eq!((&measured["images"], &measured["classes"]), (&Value::from(24), &Value::from(4)));
    let message =
        fail(annotated.fixture.train("boxed", &["--dataset", "sop"]).args(["--data", data.to_str().unwrap()]));
    assert_says(&message, &["is not laid out as Stanford Online Products", "Ebay_train.txt", "hint:"]);
}

#[test]
fn check_compares_with_what_was_published() {
    let annotated = Annotated::new();
    annotated.cub();
    let data = annotated.fixture.path("cub");
    let output = kinsight().args(["data", "check", "cub"]).arg(&data).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_says(&String::from_utf8_lossy(&output.stdout), &["24 images of     5,864", "differs", "no file is missing"]);
    let mut entries = fs::read_dir(data.join("images")).unwrap().map(|entry| entry.unwrap().path());
    let some = entries.find(|path| path.is_dir()).unwrap();
    fs::remove_dir_all(some).unwrap();
    let output = kinsight().args(["data", "check", "CUB-200-2011", "--json"]).arg(&data).output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["complete"], found["check"]["missing"].as_array().unwrap().len()), (&Value::from(false), 6));
    assert_says(&succeed(kinsight().args(["data", "list"])), &["In-Shop", "Ebay_train.txt"]);
}

/// A list in which the first four classes train, one image of six of the others queries, the last class is distractors.
fn list_with_roles(annotated: &Annotated) -> std::path::PathBuf {
    let mut list = "path,label,split,is_query,is_gallery,x1,y1,x2,y2,group\n".to_string();
    for (number, (class, file)) in annotated.images.iter().enumerate() {
        let (place, which) = (annotated.class(class), number % 6);
        let row = match (place, which) {
            (1..=4, _) => "train,,,,,,,".to_string(),
            (_, 0) => format!("test,1,0,2,2,38,39,{}", if place < 7 { "north" } else { "south" }),
            _ => format!("test,0,1,,,,,{}", if place < 7 { "north" } else { "south" }),
        };
        // Pictures of the last class are distractors.
        let label = if place == 8 { "" } else { class };
        let row = if label.is_empty() { row.replace("test,1,0", "test,0,1") } else { row };
        list += &format!("\"images/{class}/{file}\",\"{label}\",{row}\n");
    }
    let path = annotated.fixture.path("list.csv");
    fs::write(&path, list).unwrap();
    path
}

#[test]
fn a_list_gives_roles_groups_and_boxes() {
    let annotated = Annotated::new();
    let path = list_with_roles(&annotated);
    let mut command = kinsight();
    command.args(["eval", "--json", "--backbone"]).arg(annotated.fixture.path("backbone.safetensors"));
    let found: Value = serde_json::from_str(&succeed(command.arg("--data").arg(&path))).unwrap();
    assert_eq!((&found["queries"], &found["gallery"]), (&Value::from(3), &Value::from(15 + 6)));
    assert_eq!(found["groups"]["north"]["queries"], 2);
    assert_eq!(found["groups"]["south"]["gallery"], 11);
}

#[test]
fn what_each_query_scores_is_of_the_protocol_of_the_metrics() {
    let annotated = Annotated::new();
    let list = list_with_roles(&annotated);
    succeed(&mut annotated.fixture.train("run", &["--data", list.to_str().unwrap()]));
    let read = |file: &str| -> Value {
        serde_json::from_slice(&fs::read(annotated.fixture.path("run").join(file)).unwrap()).unwrap()
    };
    let (metrics, queries) = (read("metrics.json"), read("queries.json"));
    let scores = queries["scores"].as_array().unwrap();
    assert_eq!((scores.len(), &metrics["queries"], &metrics["gallery"]), (3, &Value::from(3), &Value::from(21)));
    // The first image of each of three classes, among the six of each class.
    assert_eq!(queries["indices"], serde_json::json!([0, 6, 12]));
    let mean = |key: &str| scores.iter().map(|score| score[key].as_f64().unwrap()).sum::<f64>() / scores.len() as f64;
    for (key, metric) in [("recall_at_1", "recall@1"), ("map_at_r", "map@r")] {
        assert!((mean(key) - metrics["metrics"][metric].as_f64().unwrap()).abs() < 1e-12, "{key}");
    }
    let info = kinsight_model::finetuned::read_info(&annotated.fixture.path("run/model.safetensors")).unwrap();
    let test = info.training.unwrap().test;
    assert_eq!((test.queries, test.gallery, test.distractors, test.groups, test.classes), (3, 21, 6, 2, 3));
    assert!(!test.is_self_search() && test.are_unseen());
}
