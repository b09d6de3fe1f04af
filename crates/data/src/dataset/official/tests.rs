//! Miniatures in the publishers' layouts.

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::dataset::tests::{listing, test_file, write};
use crate::dataset::{Dataset, SplitRule};

struct Miniature(TempDir);

impl Miniature {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        write(&self.0, file, content);
    }

    fn images<'a>(&self, folder: &str, files: impl IntoIterator<Item = &'a str>) {
        files.into_iter().for_each(|file| self.write(&format!("{folder}/{file}"), file));
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// `class: file` of each image, in order.
fn lines_of(dataset: &Dataset) -> Vec<String> {
    listing(dataset).into_iter().map(|(file, class)| format!("{class}: {file}")).collect()
}

#[track_caller]
fn assert_detected(miniature: &Miniature, layout: Layout) -> Split {
    assert_eq!(SplitRule::detect(miniature.path()), SplitRule::Official { layout, boxes: false });
    let split = Split::load(miniature.path(), None, false).unwrap();
    assert!(split.train.items.iter().chain(&split.test.items).all(|item| item.path.is_file() && item.crop.is_none()));
    split
}

fn cub() -> Miniature {
    let miniature = Miniature::new();
    let files = ["001.Auk/b_1.jpg", "001.Auk/a_2.jpg", "002.Wren/c_3.jpg", "010.Tern/d_4.jpg", "200.Jay/e_5.jpg"];
    miniature.images("CUB_200_2011/images", files);
    let list: String = (1..).zip(files).map(|(image, file)| format!("{image} {file}\n")).collect();
    miniature.write("CUB_200_2011/images.txt", list);
    miniature.write("CUB_200_2011/image_class_labels.txt", "1 1\n2 1\n3 2\n4 10\n5 200\n");
    miniature.write("CUB_200_2011/classes.txt", "1 001.Auk\n2 002.Wren\n10 010.Tern\n200 200.Jay\n");
    miniature.write("CUB_200_2011/bounding_boxes.txt", "1 60.0 27.0 325.0 304.0\n2 0.0 0.5 10.2 10.0\n");
    miniature.write("CUB_200_2011/train_test_split.txt", "1 0\n2 1\n3 1\n4 0\n5 1\n");
    miniature
}

#[test]
fn cub_200_2011() {
    let miniature = cub();
    let split = assert_detected(&miniature, Layout::Cub);
    assert_eq!(
        lines_of(&split.train),
        ["001.Auk: images/001.Auk/b_1.jpg", "001.Auk: images/001.Auk/a_2.jpg", "002.Wren: images/002.Wren/c_3.jpg"]
    );
    assert_eq!(lines_of(&split.test), ["010.Tern: images/010.Tern/d_4.jpg", "200.Jay: images/200.Jay/e_5.jpg"]);
    assert!(split.protocol.is_self_search());

    let boxed = Layout::Cub.read(&miniature.path().join("CUB_200_2011"), true).unwrap();
    let crop = |index: usize| boxed.train.items[index].crop.map(|c| (c.left, c.top, c.width, c.height));
    assert_eq!([crop(0), crop(1), crop(2)], [Some((60, 27, 325, 304)), Some((0, 0, 11, 10)), None]);

    miniature.write("CUB_200_2011/image_class_labels.txt", "1 1\n2 1\n3 2\n4 10\n");
    let error = Split::load(miniature.path(), None, false).unwrap_err().to_string();
    assert!(error.contains("images.txt, line 5") && error.contains("image 5 has no class"), "{error}");
}

#[test]
fn check_counts_and_names_what_is_missing() {
    let miniature = cub();
    let found = check(Layout::Cub, miniature.path()).unwrap();
    assert!(found.missing.is_empty() && !found.is_complete());
    let numbers = |part: &PartCheck| (part.name, part.images, part.published_images, part.classes);
    assert_eq!(found.parts.iter().map(numbers).collect::<Vec<_>>(), [("train", 3, 5864, 2), ("test", 2, 5924, 2)]);
    fs::remove_file(miniature.path().join("CUB_200_2011/images/200.Jay/e_5.jpg")).unwrap();
    let found = check(Layout::Cub, miniature.path()).unwrap();
    assert!(found.missing.len() == 1 && found.missing[0].ends_with("200.Jay/e_5.jpg"));

    let error = check(Layout::Sop, miniature.path()).unwrap_err();
    assert!(error.to_string().contains("is not laid out as Stanford Online Products"), "{error}");
    assert!(error.to_string().contains("Ebay_train.txt"), "{error}");
}

#[test]
fn published_counts_are_recognized() {
    let mut found = check(Layout::Cub, cub().path()).unwrap();
    assert!(!found.is_complete());
    for part in &mut found.parts {
        (part.images, part.classes) = (part.published_images, part.published_classes);
    }
    assert!(found.is_complete());
}

#[test]
fn cars196_flat() {
    for file in ["flat_plain.mat", "flat_compressed.mat"] {
        let miniature = Miniature::new();
        miniature.images("car_ims", ["000001.jpg", "000002.jpg", "000003.jpg"]);
        miniature.write("cars_annos.mat", test_file(file));
        let split = assert_detected(&miniature, Layout::Cars);
        assert_eq!(lines_of(&split.train), ["AM General Hummer SUV 2000: car_ims/000001.jpg"]);
        assert_eq!(
            lines_of(&split.test),
            ["Volvo 240 Sedan 1993: car_ims/000002.jpg", "Acura RL Sedan 2012: car_ims/000003.jpg"]
        );
        assert_eq!(split.test.class_names, ["Acura RL Sedan 2012", "Volvo 240 Sedan 1993"]);
        let boxed = Layout::Cars.read(miniature.path(), true).unwrap();
        let crop = boxed.train.items[0].crop.unwrap();
        assert_eq!((crop.left, crop.top, crop.width, crop.height), (29, 51, 217, 96));
    }
}

#[test]
fn cars196_devkit() {
    let miniature = Miniature::new();
    miniature.images("cars_train", ["00001.jpg", "00002.jpg"]);
    miniature.images("cars_test", ["00001.jpg", "00002.jpg"]);
    miniature.write("devkit/cars_train_annos.mat", test_file("train.mat"));
    miniature.write("cars_test_annos_withlabels.mat", test_file("test.mat"));
    miniature.write("devkit/cars_meta.mat", test_file("meta.mat"));
    let split = assert_detected(&miniature, Layout::Cars);
    assert_eq!(
        lines_of(&split.train),
        ["AM General Hummer SUV 2000: cars_train/00001.jpg", "AM General Hummer SUV 2000: cars_test/00002.jpg"]
    );
    assert_eq!(
        lines_of(&split.test),
        ["Volvo 240 Sedan 1993: cars_train/00002.jpg", "Acura RL Sedan 2012: cars_test/00001.jpg"]
    );
    miniature.write("devkit/cars_meta.mat", b"not one");
    let error = Split::load(miniature.path(), None, false).unwrap_err().to_string();
    assert!(error.contains("cars_meta.mat") && error.contains("not a MAT-file"), "{error}");
}

#[test]
fn stanford_online_products() {
    let miniature = Miniature::new();
    let root = "Stanford_Online_Products";
    miniature.images(
        root,
        ["bicycle_final/111_0.JPG", "bicycle_final/111_1.JPG", "chair_final/3_0.JPG", "sofa_final/4_0.JPG"],
    );
    let head = "image_id class_id super_class_id path\n";
    let train = format!("{head}1 1 1 bicycle_final/111_0.JPG\n2 1 1 bicycle_final/111_1.JPG\n");
    let test = format!("{head}3 11319 3 chair_final/3_0.JPG\n4 11320 9 sofa_final/4_0.JPG\n");
    miniature.write(&format!("{root}/Ebay_train.txt"), train);
    miniature.write(&format!("{root}/Ebay_test.txt"), test);
    let split = assert_detected(&miniature, Layout::Sop);
    assert_eq!(split.train.class_names, ["bicycle 1"]);
    assert_eq!(lines_of(&split.test), ["chair 11319: chair_final/3_0.JPG", "sofa 11320: sofa_final/4_0.JPG"]);
    assert_eq!((split.protocol.groups.clone(), split.protocol.group_names.len()), (vec![0, 1], 2));
    assert!(split.protocol.is_self_search());

    miniature.write(&format!("{root}/Ebay_test.txt"), format!("{head}3 11319 3 with blank/3_0.JPG\n"));
    let error = Split::load(miniature.path(), None, false).unwrap_err().to_string();
    assert!(error.contains("Ebay_test.txt, line 2: 5 fields, expected 4"), "{error}");
}

#[test]
fn in_shop() {
    let miniature = Miniature::new();
    let files = ["a_1_front.jpg", "a_2_side.jpg", "b_1_front.jpg", "b_2_back.jpg"]
        .map(|f| format!("img/WOMEN/Dresses/id_1/{f}"));
    miniature.images("Img", files.iter().map(String::as_str));
    let statuses =
        [("id_00000001", "train"), ("id_00000001", "train"), ("id_00000009", "query"), ("id_00000009", "gallery")];
    let lines: String =
        files.iter().zip(statuses).map(|(file, (item, status))| format!("{file}    {item}   {status}\n")).collect();
    let text = format!("4\nimage_name item_id evaluation_status\n{lines}");
    miniature.write("Eval/list_eval_partition.txt", &text);
    let split = assert_detected(&miniature, Layout::InShop);
    assert_eq!((split.train.len(), split.train.class_names.clone()), (2, vec!["id_00000001".to_owned()]));
    let roles: Vec<(bool, bool)> =
        (0..2).map(|index| (split.protocol.is_query(index), split.protocol.is_in_gallery(index))).collect();
    assert_eq!(roles, [(true, false), (false, true)]);
    assert!(!split.protocol.is_self_search());
    let found = check(Layout::InShop, miniature.path()).unwrap();
    assert_eq!(
        found.parts.iter().map(|part| (part.name, part.images)).collect::<Vec<_>>(),
        [("train", 2), ("query", 1), ("gallery", 1)]
    );
    miniature.write("Eval/list_eval_partition.txt", text.replace("gallery", "shelf"));
    let error = Split::load(miniature.path(), None, false).unwrap_err().to_string();
    assert!(error.contains("line 6") && error.contains("shelf"), "{error}");
}

const INAT: [&str; 4] = [
    "train_val2018/Aves/2761/a.jpg",
    "train_val2018/Aves/2762/b.jpg",
    "train_val2018/Plantae/5813/c.jpg",
    "train_val2018/Plantae/9/d.jpg",
];

#[test]
fn inaturalist_2018_by_lists() {
    let miniature = Miniature::new();
    miniature.images(".", INAT);
    miniature.write("Inat_dataset_splits/Inaturalist_train_set1.txt", format!("{}\n", INAT[0]));
    miniature.write("Inat_dataset_splits/Inaturalist_test_set1.txt", INAT[1..].join("\n"));
    let split = assert_detected(&miniature, Layout::Inaturalist);
    assert_eq!(split.train.class_names, ["Aves/2761"]);
    assert_eq!(split.test.class_names, ["Aves/2762", "Plantae/5813", "Plantae/9"]);
    assert_eq!(split.protocol.groups, [0, 1, 1]);
    miniature.write("Inat_dataset_splits/Inaturalist_train_set1.txt", "a.jpg\n");
    assert!(Split::load(miniature.path(), None, false).unwrap_err().to_string().contains("line 1"));
}

#[test]
fn inaturalist_2018_by_annotations() {
    let miniature = Miniature::new();
    miniature.images(".", INAT);
    let file = |images: std::ops::Range<usize>, categories: &[usize]| {
        let annotations: Vec<_> = (images.clone().zip(categories))
            .map(|(id, category)| json!({ "id": id, "image_id": id, "category_id": category }))
            .collect();
        let images: Vec<_> =
            images.map(|id| json!({ "id": id, "file_name": INAT[id], "width": 1, "license": 3 })).collect();
        json!({ "info": {}, "images": images, "categories": [], "annotations": annotations }).to_string()
    };
    miniature.write("train2018.json", file(0..3, &[2761, 2762, 5813]));
    miniature.write("val2018.json", file(3..4, &[9]));
    let split = assert_detected(&miniature, Layout::Inaturalist);
    assert_eq!(split.train.class_names, ["Plantae/9", "Aves/2761"]);
    assert_eq!(split.test.class_names, ["Aves/2762", "Plantae/5813"]);
    miniature.write("val2018.json", file(3..4, &[]));
    assert!(Split::load(miniature.path(), None, false).unwrap_err().to_string().contains("val2018.json"));
    miniature.write("val2018.json", "{");
    assert!(matches!(Split::load(miniature.path(), None, false), Err(DataError::Malformed { .. })));
}

#[test]
fn names_are_recognized_in_common_spellings() {
    for layout in Layout::ALL {
        assert_eq!(Layout::from_name(layout.name()), Some(layout));
        assert_eq!(Layout::from_name(&layout.name().to_uppercase().replace('_', "-")), Some(layout));
    }
    assert_eq!(Layout::from_name("CUB-200-2011"), Some(Layout::Cub));
    assert_eq!(Layout::from_name("mnist"), None);
}
