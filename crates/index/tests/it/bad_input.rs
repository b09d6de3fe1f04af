//! Folders that are no index, and indexes that are not this model's or this version's.

use kinsight_index::{Fingerprint, GraphSettings, ImageEmbedder, ImageQuery, Index, IndexError, Listing};

use crate::fixture::{Colors, Fixture, bmp, contents, picture, source, sync};

fn error(result: Result<Index, IndexError>) -> IndexError {
    match result {
        Ok(_) => panic!("was opened"),
        Err(error) => error,
    }
}

#[test]
fn folders_that_are_no_index() {
    let fixture = Fixture::new(1, 1);
    let model = Colors::new("colors");
    let nowhere = error(Index::open(&fixture.path("nowhere")));
    assert!(matches!(nowhere, IndexError::NoIndex { .. }) && nowhere.hint().unwrap().contains("kinsight index"));
    let create = |name: &str| {
        Index::create(&fixture.path(name), model.fingerprint().clone(), source(), GraphSettings::default())
    };
    assert!(matches!(error(create("images")), IndexError::Occupied { found: "is not empty", .. }));
    create("index").unwrap();
    assert!(matches!(error(create("index")), IndexError::Occupied { found: "already contains an index", .. }));
    // What an interrupted creation leaves behind is made whole by the next.
    std::fs::remove_file(fixture.path("index/index.json")).unwrap();
    assert!(matches!(error(Index::open(&fixture.path("index"))), IndexError::NoIndex { .. }));
    assert!(create("index").is_ok());
}

#[test]
fn other_versions_and_damaged_manifests() {
    let fixture = Fixture::new(1, 1);
    fixture.create("index", &Colors::new("colors"));
    let file = fixture.path("index/index.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let open_with = |text: &str| {
        std::fs::write(&file, text).unwrap();
        error(Index::open(&fixture.path("index")))
    };
    let newer = open_with(&text.replacen("\"format\": 2", "\"format\": 7, \"more\": 1", 1));
    assert!(matches!(newer, IndexError::FormatVersion { found: 7, expected: 2, .. }), "{newer}");
    for damaged in ["", "{}", "[1]", &text[..text.len() / 2], &text.replacen("\"generation\"", "\"generation_\"", 1)] {
        let error = open_with(damaged);
        assert!(matches!(error, IndexError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("index.json"));
    }
    std::fs::write(&file, &text).unwrap();
    for name in ["generations/1/catalog.sqlite", "generations/1/vectors.bin"] {
        let path = fixture.path("index").join(name);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, b"something else entirely, and long enough to be read as a header of some kind.....")
            .unwrap();
        let error = error(Index::open(&fixture.path("index")));
        assert!(error.to_string().contains(name.rsplit('/').next().unwrap()), "{error}");
        std::fs::write(&path, whole).unwrap();
    }
    assert!(Index::open(&fixture.path("index")).is_ok());
}

#[test]
fn another_model_is_refused_and_named() {
    let fixture = Fixture::new(1, 2);
    let model = Colors::new("colors");
    let index = fixture.create("index", &model);
    sync(&index, &fixture.images(), &model);
    let listing = Listing::of(&fixture.images()).unwrap();
    let other = Colors::new("other");
    let error = index.writer().unwrap().sync(&listing, &other, 4, &mut |_| true).unwrap_err();
    assert!(error.to_string().contains("backbone other, expected colors"), "{error}");
    assert!(error.hint().unwrap().contains("migrate"));
    let newer = Fingerprint { library: "99.0.0".into(), ..model.fingerprint().clone() };
    assert!(index.require_model(&newer).unwrap_err().to_string().contains("kinsight"));
}

#[test]
fn only_one_writer() {
    let fixture = Fixture::new(1, 1);
    let index = fixture.create("index", &Colors::new("colors"));
    let writer = index.writer().unwrap();
    let again = Index::open(&fixture.path("index")).unwrap();
    let Err(IndexError::Busy { holder, .. }) = again.writer().map(|_| ()) else { panic!("two writers") };
    assert!(holder.contains(&format!("process {}", std::process::id())), "{holder}");
    drop(writer);
    assert!(again.writer().is_ok());
}

#[test]
fn unreadable_images_are_named_and_left_out() {
    let fixture = Fixture::new(1, 3);
    let model = Colors::new("colors");
    let index = fixture.create("index", &model);
    let write = |name: &str, bytes: &[u8]| std::fs::write(fixture.images().join(name), bytes).unwrap();
    write("class0/cut.png", &bmp(5)[..90]);
    write("class0/empty.jpg", b"");
    let report = sync(&index, &fixture.images(), &model);
    assert_eq!((report.added, report.unreadable.len()), (3, 2));
    assert!(report.unreadable[0].0.ends_with("cut.png"));
    // One that was fine and is no longer must not go on answering for what it was.
    write("class0/0.png", &bmp(0)[..80]);
    let report = sync(&index, &fixture.images(), &model);
    assert_eq!((report.removed, report.unreadable.len()), (1, 3));
    assert_eq!(contents(&index).len(), 2);
    assert!(Listing::of(&fixture.path("nowhere")).is_err());
    std::fs::create_dir(fixture.path("bare")).unwrap();
    assert!(Listing::of(&fixture.path("bare")).is_err());
}

#[test]
fn a_crop_must_lie_inside() {
    let model = Colors::new("colors");
    let crop = |width| kinsight_data::CropBox { left: 5, top: 0, width, height: 5 };
    let embed = |crop| ImageQuery::embed_all(&[ImageQuery { picture: picture(3), crop: Some(crop) }], &model);
    assert_eq!(embed(crop(5)).unwrap().len(), 1);
    assert!(embed(crop(6)).unwrap_err().to_string().contains("not inside"));
}
