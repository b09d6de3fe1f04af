//! `kinsight audit`: planted faults are found.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use kinsight_data::RgbImage;
use kinsight_data::thumbnail::thumbnail;
use kinsight_synthetic::render;
use serde_json::Value;

use crate::fixture::{Fixture, assert_says, fail, kinsight, succeed};

/// Classes that the built-in backbone tells apart: butterflies under colored light.
const LIGHTS: [(&str, [f32; 3]); 6] = [
    ("amber", [1.0, 0.7, 0.1]),
    ("blue", [0.15, 0.2, 1.0]),
    ("green", [0.1, 1.0, 0.15]),
    ("gray", [0.5, 0.5, 0.5]),
    ("magenta", [1.0, 0.1, 0.9]),
    ("red", [1.0, 0.1, 0.05]),
];
const EACH: u32 = 14;

/// A folder of pictures and what is wrong with them.
struct Planted {
    folder: tempfile::TempDir,
    /// Original and copy.
    copies: Vec<(String, String)>,
    /// Where the mislabeled pictures lie, and what they are.
    flipped: Vec<(String, String)>,
}

fn colored(class: usize, instance: u32) -> RgbImage {
    let picture = render(6 * instance, class as u32, 9, 96).unwrap();
    changed(&picture, |value, channel| f32::from(value) * LIGHTS[class].1[channel])
}

fn changed(picture: &RgbImage, change: impl Fn(u8, usize) -> f32) -> RgbImage {
    let pixels = picture.pixels().iter().enumerate().map(|(place, value)| change(*value, place % 3) as u8).collect();
    RgbImage::new(picture.width(), picture.height(), pixels).unwrap()
}

impl Planted {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut planted = Self { folder, copies: Vec::new(), flipped: Vec::new() };
        for (class, (name, _)) in LIGHTS.iter().enumerate() {
            for instance in 0..EACH {
                let picture = colored(class, instance);
                let file = format!("{name}/{instance:02}.jpg");
                // The last two of each class lie in the folder of the next class.
                if instance + 2 >= EACH {
                    let wrong = LIGHTS[(class + 1 + instance as usize % 2) % LIGHTS.len()].0;
                    let file = format!("{wrong}/{name}-{instance:02}.jpg");
                    planted.write(&file, &thumbnail(&picture, 96));
                    planted.flipped.push((file, (*name).to_string()));
                    continue;
                }
                planted.write(&file, &thumbnail(&picture, 96));
                let copy = format!("{name}/copy-{instance:02}.jpg");
                let bytes = match instance {
                    0 => fs::read(planted.path(&file)).unwrap(),
                    1 => thumbnail(&picture, 57),
                    2 => thumbnail(&changed(&picture, |value, _| f32::from(value) * 0.75), 96),
                    3 => thumbnail(&changed(&picture, |value, _| f32::from(value) + 30.0), 80),
                    _ => continue,
                };
                planted.write(&copy, &bytes);
                planted.copies.push((file, copy));
            }
        }
        planted
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join("pictures").join(file)
    }

    fn write(&self, file: &str, bytes: &[u8]) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn audit(&self) -> std::process::Command {
        audit(&self.folder.path().join("pictures"), &self.folder.path().join("audit"))
    }
}

fn audit(images: &Path, out: &Path) -> std::process::Command {
    let mut command = kinsight();
    command.arg("audit").arg(images).arg("--out").arg(out);
    command
}

/// The paths of each group of findings of a kind, in the order of the report.
fn groups(report: &Value, kind: &str) -> Vec<Vec<String>> {
    let mut groups: Vec<(u64, Vec<String>)> = Vec::new();
    for finding in report["findings"].as_array().unwrap().iter().filter(|finding| finding["finding"] == kind) {
        let (number, path) = (finding["group"].as_u64().unwrap(), finding["path"].as_str().unwrap().to_string());
        match groups.last_mut() {
            Some((last, paths)) if *last == number => paths.push(path),
            _ => groups.push((number, vec![path])),
        }
    }
    groups.into_iter().map(|(_, paths)| paths).collect()
}

#[test]
fn planted_copies_and_wrong_labels_are_found() {
    let planted = Planted::new();
    let broken = planted.path("red/broken.jpg");
    let whole = fs::read(planted.path("red/00.jpg")).unwrap();
    fs::write(&broken, &whole[..whole.len() / 2]).unwrap();
    let report: Value = serde_json::from_str(&succeed(planted.audit().arg("--json"))).unwrap();

    let copies: BTreeSet<Vec<String>> =
        groups(&report, "same_file").into_iter().chain(groups(&report, "same_picture")).collect();
    let absolute = |file: &String| planted.path(file).display().to_string();
    let found = planted.copies.iter().filter(|(original, copy)| {
        copies.iter().any(|group| group.contains(&absolute(original)) && group.contains(&absolute(copy)))
    });
    let found = found.count();
    assert!(found * 100 >= planted.copies.len() * 95, "{found} of {} copies", planted.copies.len());
    assert!(copies.len() <= planted.copies.len(), "nothing but copies: {copies:?}");

    let suspected = groups(&report, "label");
    let first = &suspected[..planted.flipped.len().min(suspected.len())];
    let right = planted.flipped.iter().filter(|(file, _)| first.contains(&vec![absolute(file)])).count();
    assert!(right * 100 >= planted.flipped.len() * 80, "{right} of {}: {first:?}", planted.flipped.len());
    let suggestions = report["findings"].as_array().unwrap().iter().filter(|finding| finding["finding"] == "label");
    let suggested = suggestions.filter(|finding| {
        planted.flipped.iter().any(|(file, class)| {
            finding["path"] == absolute(file).as_str() && finding["suggestion"] == format!("label {class}").as_str()
        })
    });
    assert!(suggested.count() * 100 >= planted.flipped.len() * 80);

    assert_eq!(report["counts"]["unreadable"], 1);
    assert_eq!(groups(&report, "unreadable"), [[broken.display().to_string()]]);
    assert_eq!(report["classes"].as_array().unwrap().len(), LIGHTS.len());

    let page = fs::read_to_string(planted.folder.path().join("audit/audit.html")).unwrap();
    assert_says(&page, &["Labels in doubt", "Same pictures", "red/broken.jpg"]);
    let table = fs::read_to_string(planted.folder.path().join("audit/audit.csv")).unwrap();
    assert!(table.starts_with("finding,group,path,class,split,suggestion,score,detail\n"));
    let findings = report["findings"].as_array().unwrap().len();
    assert_eq!(table.lines().count(), findings + 1);
}

#[test]
fn ci_fails_on_what_it_is_told_to() {
    let fixture = Fixture::new();
    let backbone = fixture.path("backbone.safetensors");
    let sides = fixture.path("sides");
    // Four classes a side, one picture on both.
    let mut classes: Vec<PathBuf> =
        fs::read_dir(fixture.images()).unwrap().map(|entry| entry.unwrap().path()).collect();
    classes.retain(|path| path.is_dir());
    classes.sort();
    for (number, class) in classes.iter().enumerate() {
        let side = sides.join(if number < 4 { "train" } else { "test" }).join(class.file_name().unwrap());
        fs::create_dir_all(&side).unwrap();
        for picture in fs::read_dir(class).unwrap().map(|entry| entry.unwrap().path()) {
            fs::copy(&picture, side.join(picture.file_name().unwrap())).unwrap();
        }
    }
    let run = |more: &[&str]| {
        let mut command = audit(&sides, &fixture.path("audit"));
        command.arg("--backbone").arg(&backbone).args(more);
        command
    };
    let everything = "unreadable,duplicates,leakage,conflicts";
    succeed(&mut run(&["--fail-on", everything]));

    let original = fixture.some_image();
    fs::copy(&original, sides.join("test").join(classes[7].file_name().unwrap()).join("seen-before.jpg")).unwrap();
    succeed(&mut run(&["--fail-on", "unreadable"]));
    let message = fail(&mut run(&["--fail-on", everything]));
    assert_says(&message, &["1 image on both sides of the split", "1 image with different labels", "1 copy of a file"]);
    let report: Value = serde_json::from_str(&succeed(&mut run(&["--json"]))).unwrap();
    let leak: Vec<&Value> =
        report["findings"].as_array().unwrap().iter().filter(|finding| finding["finding"] == "leakage").collect();
    assert_eq!(leak.iter().map(|finding| finding["split"].as_str().unwrap()).collect::<Vec<_>>(), ["train", "test"]);
}

#[test]
fn a_run_judges_with_its_proxies() {
    let fixture = Fixture::new();
    succeed(&mut fixture.train("run", &[]));
    let mut command = audit(&fixture.images(), &fixture.path("audit"));
    let printed = succeed(command.arg("--run").arg(fixture.path("run")));
    assert_says(&printed, &["48 images of 8 classes", "report: "]);
    // Without the training images nobody knows whose proxy is whose; that is a warning.
    let mut command = audit(&fixture.images(), &fixture.path("audit"));
    fs::rename(fixture.images(), fixture.path("moved")).unwrap();
    let error = fail(command.arg("--run").arg(fixture.path("run")));
    assert_says(&error, &["no such file or folder", "hint: "]);
}

#[test]
fn images_without_classes_and_empty_classes_are_looked_at_too() {
    let fixture = Fixture::new();
    let loose = fixture.path("loose");
    fs::create_dir_all(&loose).unwrap();
    fs::copy(fixture.some_image(), loose.join("a.jpg")).unwrap();
    fs::copy(fixture.some_image(), loose.join("b.jpg")).unwrap();
    let run = |images: &Path| {
        let mut command = audit(images, &fixture.path("audit"));
        succeed(command.arg("--backbone").arg(fixture.path("backbone.safetensors")))
    };
    assert_says(&run(&loose), &["2 images\n", "1  copy of a file"]);
    fs::create_dir_all(fixture.images().join("zebra-moth")).unwrap();
    assert_says(&run(&fixture.images()), &["48 images of 8 classes", "1  class without an image"]);
}
