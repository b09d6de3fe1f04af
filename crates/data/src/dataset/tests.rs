//! Reading folders and lists, and splitting them.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::error::DataError;

/// A folder of these files, each with its name as content (no image is opened).
fn tree(files: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        write(&dir, file, file);
    }
    dir
}

pub(super) fn write(dir: &TempDir, file: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.path().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    path
}

/// A file that another program wrote (`tests/files/make.py`).
pub(super) fn test_file(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/files/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Items as `(path below the root, class name)`.
pub(super) fn listing(dataset: &Dataset) -> Vec<(String, &str)> {
    let relative = |item: &Item| {
        let path = item.path.strip_prefix(&dataset.root).unwrap();
        path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
    };
    dataset.items.iter().map(|item| (relative(item), dataset.class_names[item.label as usize].as_str())).collect()
}

const FOUR_CLASSES: [&str; 8] =
    ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg", "c/1.jpg", "c/2.jpg", "d/1.jpg", "d/2.jpg"];

#[test]
fn folders_are_read_in_byte_order() {
    let dir = tree(&["b/2.jpg", "b/10.jpg", "B/x.PNG", "a b/deep/er/1.Tiff", "a b/z.gif", "c/1.webp"]);
    let dataset = Dataset::from_folder(dir.path()).unwrap();
    assert_eq!(dataset.class_names, ["B", "a b", "b", "c"]);
    assert_eq!(
        listing(&dataset),
        [
            ("B/x.PNG".to_owned(), "B"),
            ("a b/deep/er/1.Tiff".to_owned(), "a b"),
            ("a b/z.gif".to_owned(), "a b"),
            ("b/10.jpg".to_owned(), "b"),
            ("b/2.jpg".to_owned(), "b"),
            ("c/1.webp".to_owned(), "c"),
        ]
    );
    assert_eq!(dataset.items_by_class(), [vec![0], vec![1, 2], vec![3, 4], vec![5]]);
    assert_eq!(dataset.classes_with_one_image(), ["B", "c"]);
}

#[test]
fn hidden_entries_and_other_files_are_ignored() {
    let dir = tree(&["a/1.jpg", "a/.2.jpg", "a/notes.txt", "a/jpg", ".git/x.jpg", "readme.md", "loose.jpg"]);
    let dataset = Dataset::from_folder(dir.path()).unwrap();
    assert_eq!(listing(&dataset), [("a/1.jpg".to_owned(), "a")]);
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_in_circles() {
    use std::os::unix::fs::symlink;
    let elsewhere = tree(&["1.jpg", "2.jpg"]);
    let dir = tree(&["a/1.jpg", "a/inner/2.jpg"]);
    symlink(elsewhere.path(), dir.path().join("linked")).unwrap();
    symlink("..", dir.path().join("a/inner/up")).unwrap();
    symlink("nowhere.jpg", dir.path().join("a/broken.jpg")).unwrap();
    let dataset = Dataset::from_folder(dir.path()).unwrap();
    let names: Vec<String> = listing(&dataset).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a/1.jpg", "a/broken.jpg", "a/inner/2.jpg", "linked/1.jpg", "linked/2.jpg"]);

    symlink(".", dir.path().join("self")).unwrap();
    let error = Dataset::from_folder(dir.path()).unwrap_err();
    assert!(matches!(&error, DataError::EmptyClasses { classes, .. } if classes == &["self"]), "{error}");
}

#[test]
fn folders_that_are_not_datasets_say_what_is_missing() {
    let flat = tree(&["1.jpg", "2.png"]);
    let error = Dataset::from_folder(flat.path()).unwrap_err();
    assert!(matches!(error, DataError::NoClasses { loose_images: 2, .. }), "{error}");
    assert!(error.hint().unwrap().contains("one folder per class"));

    let no_images = tree(&["a/notes.txt"]);
    assert!(matches!(Dataset::from_folder(no_images.path()), Err(DataError::NoImages { .. })));

    let one_empty = tree(&["a/1.jpg", "b/notes.txt"]);
    let error = Dataset::from_folder(one_empty.path()).unwrap_err();
    assert!(error.to_string().ends_with(": b"), "{error}");

    let missing = Dataset::from_folder(&flat.path().join("gone")).unwrap_err();
    assert!(matches!(missing, DataError::NotFound { .. }));
}

#[test]
fn csv_columns_are_found_by_name() {
    let dir = tree(&["photos/1.jpg", "photos/2.jpg", "3.jpg"]);
    let text = "\u{feff}price,label, path ,split\n1,zebra,photos/1.jpg,train\n2,\"ant, red\",photos/2.jpg,test\n\n3,zebra,3.jpg,train\n";
    let csv = write(&dir, "list.csv", text);
    let dataset = Dataset::from_csv(&csv).unwrap();
    assert_eq!(dataset.class_names, ["ant, red", "zebra"]);
    assert_eq!(
        listing(&dataset),
        [("photos/1.jpg".to_owned(), "zebra"), ("photos/2.jpg".to_owned(), "ant, red"), ("3.jpg".to_owned(), "zebra"),]
    );
    let split = Split::load(&csv, None, false).unwrap();
    assert_eq!(split.train.class_names, ["zebra"]);
    assert_eq!(split.test.class_names, ["ant, red"]);
    assert_eq!((split.train.len(), split.test.len()), (2, 1));
}

#[test]
fn csv_errors_name_the_line() {
    let dir = tree(&["1.jpg", "2.jpg"]);
    let message = |text: &str| {
        let csv = write(&dir, "list.csv", text);
        Split::load(&csv, None, false).unwrap_err().to_string()
    };
    assert!(message("path,class\n1.jpg,a\n").contains("no column label, split in the header (found: path, class)"));
    let unknown = message("path,label,split\n1.jpg,a,train\n2.jpg,b,validation\n");
    assert!(unknown.ends_with("line 3: split is \"validation\", expected \"train\" or \"test\""), "{unknown}");
    assert!(message("path,label,split\n1.jpg,,train\n").ends_with("line 2: the field \"label\" is empty"));
    assert!(message("path,label,split\n9.jpg,a,train\n").contains("line 2: no such file"));
    assert!(message("path,label,split\n1.jpg,a,train\n1.jpg,b,test\n").contains("listed twice, first in line 2"));
    assert!(message("path,label,split\n1.jpg,a\n").contains("not a readable CSV file"));
    assert!(message("path,label,split\n").contains("no images"));
    assert!(message("path,label,split\n1.jpg,a,train\n").contains("there is nothing to test on"));
}

#[test]
fn first_half_trains_and_labels_start_at_zero_on_both_sides() {
    let dir = tree(&FOUR_CLASSES);
    let split = Split::load(dir.path(), None, false).unwrap();
    assert_eq!(split.train.class_names, ["a", "b"]);
    assert_eq!(split.test.class_names, ["c", "d"]);
    assert_eq!(split.test.labels(), [0, 0, 1, 1]);
    assert!(split.test.items[0].path.ends_with("c/1.jpg"));

    let odd = tree(&["a/1.jpg", "b/1.jpg", "c/1.jpg"]);
    let split = Split::load(odd.path(), Some(SplitRule::FirstHalf), false).unwrap();
    assert_eq!((split.train.num_classes(), split.test.num_classes()), (1, 2));
}

#[test]
fn a_random_half_depends_on_the_seed_alone() {
    let files: Vec<String> = (0..20).map(|class| format!("{class:02}/1.jpg")).collect();
    let dir = tree(&files.iter().map(String::as_str).collect::<Vec<_>>());
    let half = |seed| Split::load(dir.path(), Some(SplitRule::RandomHalf { seed }), false).unwrap();
    assert_eq!(half(1), half(1));
    assert_ne!(half(1).train.class_names, half(2).train.class_names);
    let split = half(1);
    assert_eq!(split.train.num_classes(), 10);
    assert!(split.shared_classes().is_empty());
    assert!(split.train.class_names.is_sorted() && split.test.class_names.is_sorted());
}

#[test]
fn train_and_test_folders_are_detected() {
    let dir = tree(&["train/a/1.jpg", "train/b/1.jpg", "test/c/1.jpg"]);
    assert_eq!(SplitRule::detect(dir.path()), SplitRule::Folders);
    let split = Split::load(dir.path(), None, false).unwrap();
    assert_eq!((split.train.class_names, split.test.class_names), (vec!["a".into(), "b".into()], vec!["c".into()]));
}

#[test]
fn a_class_on_both_sides_is_an_error_unless_allowed() {
    let dir = tree(&["train/a/1.jpg", "train/b/1.jpg", "test/b/2.jpg", "test/c/1.jpg"]);
    let error = Split::load(dir.path(), None, false).unwrap_err();
    assert!(matches!(&error, DataError::ClassOverlap { classes } if classes == &["b"]));
    assert_eq!(error.to_string(), "train and test share 1 of their classes: b");
    assert!(error.hint().is_some());
    assert_eq!(Split::load(dir.path(), None, true).unwrap().shared_classes(), ["b"]);
}

#[test]
fn rules_that_do_not_fit_are_refused() {
    let dir = tree(&["a/1.jpg"]);
    let message = |rule| Split::load(dir.path(), Some(rule), false).unwrap_err().to_string();
    assert!(message(SplitRule::FirstHalf).contains("1 class cannot be divided"));
    assert!(message(SplitRule::Folders).contains("no subfolders train and test"));
    assert!(message(SplitRule::Csv).contains("it is not a file"));
    assert!(matches!(Split::load(&dir.path().join("x.csv"), None, false), Err(DataError::NotFound { .. })));
}

#[test]
fn the_fingerprint_sees_changes_and_not_moves() {
    let dir = tree(&FOUR_CLASSES);
    let original = Dataset::from_folder(dir.path()).unwrap().fingerprint();
    assert_eq!(original.len(), 64);

    let elsewhere = tree(&FOUR_CLASSES);
    assert_eq!(Dataset::from_folder(elsewhere.path()).unwrap().fingerprint(), original);

    write(&elsewhere, "a/1.jpg", "another size");
    let resized = Dataset::from_folder(elsewhere.path()).unwrap().fingerprint();
    fs::remove_file(elsewhere.path().join("a/1.jpg")).unwrap();
    let removed = Dataset::from_folder(elsewhere.path()).unwrap().fingerprint();
    let mut relabeled = Dataset::from_folder(dir.path()).unwrap();
    relabeled.items[0].label = 1;
    let all = [&original, &resized, &removed, &relabeled.fingerprint()];
    for (i, a) in all.iter().enumerate() {
        assert!(all[..i].iter().all(|b| b != a));
    }
}

#[test]
fn classes_are_selected_in_the_order_given() {
    let dir = tree(&FOUR_CLASSES);
    let dataset = Dataset::from_folder(dir.path()).unwrap();
    let chosen = dataset.of_classes(&[3, 0, 3, 99]);
    assert_eq!(chosen.class_names, ["d", "a"]);
    assert_eq!(chosen.labels(), [1, 1, 0, 0]);
}

const ROLES: &str = "path,label,split,is_query,is_gallery,x1,y1,x2,y2,group\n\
    1.jpg,cat,train,,,,,,,\n\
    2.jpg,dog,test,true,false,1,2,31,22.4,red\n\
    3.jpg,dog,test,0,1,,,,,red\n\
    4.jpg,,test,,,,,,,blue\n\
    2.jpg,cow,test,1,1,40,2,50,9,blue\n";

fn check_roles(path: &std::path::Path) {
    let split = Split::load(path, None, false).unwrap();
    assert_eq!((split.train.len(), split.test.class_names.join(" ")), (1, "(distractors) cow dog".to_owned()));
    let roles: Vec<(bool, bool)> =
        (0..4).map(|index| (split.protocol.is_query(index), split.protocol.is_in_gallery(index))).collect();
    assert_eq!(roles, [(true, false), (false, true), (false, true), (true, true)]);
    assert_eq!(split.protocol.groups, [1, 1, 0, 0]);
    assert_eq!(split.protocol.group_names, ["blue", "red"]);
    let crops: Vec<_> =
        split.test.items.iter().map(|item| item.crop.map(|c| (c.left, c.top, c.width, c.height))).collect();
    assert_eq!(crops, [Some((1, 2, 30, 20)), None, None, Some((40, 2, 10, 7))]);
    let chosen = split.protocol.select(&[3, 0]);
    assert_eq!((chosen.groups, chosen.roles[1]), (vec![0, 1], Role { query: true, gallery: false }));
}

#[test]
fn roles_boxes_groups_and_distractors_come_from_columns() {
    let dir = tree(&["1.jpg", "2.jpg", "3.jpg", "4.jpg"]);
    check_roles(&write(&dir, "list.csv", ROLES));
    assert_eq!(Dataset::from_csv(&dir.path().join("list.csv")).unwrap().len(), 4, "a distractor has no class");
    for (row, complaint) in [
        ("1.jpg,cat,test,maybe,1,,,,,", "is_query is \"maybe\""),
        ("1.jpg,cat,test,0,0,,,,,", "neither a query nor in the gallery"),
        ("1.jpg,cat,test,1,1,5,5,5,9,", "is empty"),
        ("1.jpg,cat,test,1,1,5,,6,9,", "y1 is \"\""),
    ] {
        let header = ROLES.lines().next().unwrap();
        let path = write(&dir, "bad.csv", format!("{header}\n2.jpg,cat,train,,,,,,,\n{row}\n"));
        let error = Split::load(&path, None, true).unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains(complaint), "{error}");
    }
}

#[test]
fn a_parquet_file_reads_as_its_csv() {
    let dir = tree(&["1.jpg", "2.jpg", "3.jpg", "4.jpg"]);
    let path = write(&dir, "list.parquet", test_file("list.parquet"));
    check_roles(&path);
    fs::write(&path, b"PAR1 but no more").unwrap();
    assert!(matches!(Split::load(&path, None, false), Err(DataError::Malformed { .. })));
}

#[test]
fn a_validation_set_shares_no_class_with_training_or_test() {
    let files: Vec<String> = (0..20).flat_map(|class| (0..2).map(move |i| format!("c{class:02}/{i}.jpg"))).collect();
    let dir = tree(&files.iter().map(String::as_str).collect::<Vec<_>>());
    let load = || Split::load(dir.path(), None, false).unwrap();
    let mut split = load();
    let validation = split.carve_validation(0.3, 5).unwrap();
    assert_eq!((validation.num_classes(), validation.len(), split.train.num_classes()), (3, 6, 7));
    assert!(validation.class_names.iter().all(|name| !split.train.class_names.contains(name)));
    assert!(validation.class_names.iter().all(|name| !split.test.class_names.contains(name)));
    let mut again = load();
    assert_eq!(again.carve_validation(0.3, 5).unwrap(), validation);
    assert_ne!(load().carve_validation(0.3, 6).unwrap(), validation);
    assert!(load().carve_validation(0.99, 5).is_err() && load().carve_validation(1.5, 5).is_err());
    assert_eq!(load().merged().len(), 40);
    assert_eq!(load().merged().class_names.len(), 20);
}

#[test]
fn classes_are_selected_by_name() {
    let dir = tree(&FOUR_CLASSES);
    let dataset = Dataset::from_folder(dir.path()).unwrap();
    let chosen = dataset.items_of_classes(&["d".to_owned(), "b".to_owned()]).unwrap();
    assert_eq!(chosen, [2, 3, 6, 7]);
    assert_eq!(dataset.select(&chosen).labels(), [1, 1, 3, 3]);
    assert_eq!(dataset.items_of_classes(&["z".to_owned()]).unwrap_err(), ["z"]);
}
