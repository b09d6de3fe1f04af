//! What card, report and terminal say of runs whose data are not the usual: overlapping classes, queries and gallery, an
//! early end.

use std::collections::BTreeSet;
use std::path::PathBuf;

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
