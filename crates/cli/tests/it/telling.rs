//! What card, report and terminal say of runs whose data are not the usual: overlapping classes, queries and gallery, an
//! early end.

use std::collections::BTreeSet;
use std::path::PathBuf;

use kinsight_data::SplitRule;
use kinsight_model::{TestFacts, TrainingFacts};
use kinsight_train::run::RunStory;

use crate::fixture::{Fixture, assert_says, succeed};

/// The images of each class, copied to file names that tell class and place.
fn classes(fixture: &Fixture) -> Vec<Vec<PathBuf>> {
    let list = |folder: PathBuf| {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.'));
        paths.sort();
        paths
    };
    std::fs::create_dir(fixture.path("pool")).unwrap();
    let copy = |number: usize, (place, file): (usize, PathBuf)| {
        let to = fixture.path("pool").join(format!("{number}-{place}.jpg"));
        std::fs::copy(file, &to).unwrap();
        to
    };
    let folders = list(fixture.images()).into_iter().filter(|path| path.is_dir()).enumerate();
    folders.map(|(number, path)| list(path).into_iter().enumerate().map(|file| copy(number, file)).collect()).collect()
}

/// Trains on `rows` of a CSV; what the terminal, the card and the report say.
fn tell(fixture: &Fixture, rows: &str, more: &[&str]) -> [String; 3] {
    std::fs::write(fixture.path("images.csv"), rows).unwrap();
    // The later of two --data counts.
    let mut command = fixture.train("run", more);
    let printed = succeed(command.arg("--set").arg(format!("data.path={:?}", fixture.path("images.csv"))));
    let read = |file: &str| std::fs::read_to_string(fixture.path("run").join(file)).unwrap();
    [printed, read("README.md"), read("report.html")]
}

#[test]
fn classes_on_both_sides_are_never_said_to_be_unseen() {
    let fixture = Fixture::new();
    let mut rows = String::from("path,label,split\n");
    // Classes 0 to 4 train, 3 to 7 test: two are on both sides, with different images.
    for (number, images) in classes(&fixture).iter().enumerate() {
        for (place, image) in images.iter().enumerate() {
            let train = number < 3 || number < 5 && place < 3;
            rows += &format!("{},class {number},{}\n", image.display(), if train { "train" } else { "test" });
        }
    }
    let told = tell(&fixture, &rows, &["--set", "data.allow_overlap=true"]);
    for text in &told {
        assert!(
            !text.contains("never saw") && !text.contains("unseen") && !text.contains("No class is in both"),
            "{text}"
        );
        assert_says(text, &["5 classes, 2 of them also trained on"]);
    }
    assert_says(&told[2], &["2 of the 5 test classes were also trained on"]);
}

#[test]
fn queries_and_gallery_are_told_and_shown_as_they_are_measured() {
    let fixture = Fixture::new();
    let mut rows = String::from("path,label,split,is_query,is_gallery\n");
    let mut queries = BTreeSet::new();
    for (number, images) in classes(&fixture).iter().enumerate() {
        for (place, image) in images.iter().enumerate() {
            let (side, query) = (if number < 4 { "train" } else { "test" }, place < 2);
            rows += &format!("{},class {number},{side},{},{}\n", image.display(), u8::from(query), u8::from(!query));
            if query && number >= 4 {
                queries.insert(image.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    let [printed, card, report] = tell(&fixture, &rows, &[]);
    assert_says(&printed, &["4 classes that training never saw"]);
    assert_says(&card, &["8 queries searching among 16 gallery images"]);
    assert!(!card.contains("among the others"), "{card}");
    assert_says(
        &report,
        &["Measured with 8 queries searching among 16 gallery images.", "8 queries are searched among its 16"],
    );
    let captions = |start: &str| -> BTreeSet<String> {
        let tags = report.split(start).skip(1).filter_map(|rest| rest.split('>').next());
        tags.filter_map(|tag| tag.split_once("data-caption=\"")?.1.split('"').next().map(str::to_owned)).collect()
    };
    let asked = captions("<figure class=\"asked\"");
    assert!(!asked.is_empty() && asked.is_subset(&queries), "{asked:?}");
    let found = captions("<button class=\"hit");
    assert!(!found.is_empty() && found.is_disjoint(&queries), "{found:?}");
}

fn facts() -> TrainingFacts {
    TrainingFacts {
        method: "linear".into(),
        precision: Default::default(),
        data: "photos".into(),
        split: SplitRule::FirstHalf,
        class_names: vec!["ant".into(), "bee".into()],
        centers_per_class: 1,
        train_images: 20,
        validation_classes: 0,
        test: TestFacts { images: 30, classes: 3, queries: 30, gallery: 30, ..TestFacts::default() },
        epochs: 10,
        epochs_asked: 10,
        steps: 50,
        kept_step: 50,
    }
}

#[test]
fn a_plain_run() {
    let facts = facts();
    let story = RunStory(&facts);
    assert_eq!(story.duration(), "for 10 epochs");
    assert_eq!(story.trained_on(), "20 images of 2 classes");
    assert_eq!(story.measured_on(), "3 classes that training never saw");
    assert!(story.overlap().starts_with("No class is in both parts"));
    assert_eq!(story.search(), "every image searching among the others");
    assert_eq!(story.state(), "after the last step");
    assert_eq!(story.groups(), None);
}

#[test]
fn a_run_that_stopped_early_in_an_earlier_state() {
    let facts = TrainingFacts { epochs: 1, steps: 7, kept_step: 5, validation_classes: 1, ..facts() };
    assert_eq!(RunStory(&facts).duration(), "for 1 of 10 epochs (stopped early, after 7 steps)");
    assert_eq!(RunStory(&facts).state(), "in the state after step 5, the best on the validation classes,");
}

#[test]
fn overlapping_classes_are_never_said_to_be_unseen() {
    let overlap = |seen_classes, validation_classes| TrainingFacts {
        test: TestFacts { seen_classes, ..facts().test },
        validation_classes,
        ..facts()
    };
    assert_eq!(RunStory(&overlap(2, 0)).measured_on(), "3 classes, 2 of them also trained on");
    assert_eq!(RunStory(&overlap(3, 1)).measured_on(), "3 classes, all of them also trained or selected on");
    let sentence = RunStory(&overlap(2, 0)).overlap();
    assert_eq!(sentence, "2 of the 3 test classes were also trained on: the figures say less about new classes.");
}

#[test]
fn roles_distractors_and_groups_are_told() {
    let test = TestFacts { queries: 10, gallery: 20, distractors: 4, groups: 2, ..facts().test };
    let facts = TrainingFacts { test, ..facts() };
    let story = RunStory(&facts);
    assert_eq!(story.search(), "10 queries searching among 20 gallery images, 4 of them distractors without a class");
    assert!(story.groups().is_some_and(|sentence| sentence.contains("all 2 groups")));
}
