//! Moving to another model, interrupted and not.

use kinsight_index::{ImageEmbedder, Index, IndexError, Migration};

use crate::fixture::{Colors, Fixture, contents, source, sync};

fn start<'a>(index: &'a Index, model: &Colors) -> Migration<'a> {
    Migration::start(index, model.fingerprint().clone(), source()).unwrap()
}

#[test]
fn a_migrated_index_is_that_of_the_new_model() {
    let fixture = Fixture::new(3, 4);
    let (old, new) = (Colors::new("colors"), Colors::new("other colors"));
    let index = fixture.create("index", &old);
    sync(&index, &fixture.images(), &old);
    let before = contents(&index);
    let reader = Index::open(&fixture.path("index")).unwrap();

    let migration = start(&index, &new);
    assert!(matches!(reader.writer().map(|_| ()), Err(IndexError::Busy { .. })), "nobody writes meanwhile");
    let report = migration.run(&new, 5, &mut |_, _| true).unwrap();
    assert_eq!((report.embedded, report.done_before, report.complete), (12, 0, true));
    assert!(reader.newer().unwrap().is_none(), "nothing has changed for those who search");
    let migrated = migration.finish().unwrap();
    assert_eq!(contents(&reader), before, "who has it open goes on with the old vectors");
    let newer = reader.newer().unwrap().unwrap();
    assert!(newer.require_model(new.fingerprint()).is_ok());
    assert!(matches!(newer.require_model(old.fingerprint()), Err(IndexError::OtherModel { .. })));

    let fresh = fixture.create("fresh", &new);
    sync(&fresh, &fixture.images(), &new);
    assert_eq!(contents(&migrated), contents(&fresh));
    assert_eq!(contents(&newer), contents(&fresh));
    assert!(!fixture.path("index/generations/1").exists());
    assert_eq!(sync(&migrated, &fixture.images(), &new).unchanged, 12);
}

#[test]
fn an_interrupted_migration_goes_on_or_starts_over() {
    let fixture = Fixture::new(2, 6);
    let (old, new, third) = (Colors::new("colors"), Colors::new("other colors"), Colors::new("a third"));
    let index = fixture.create("index", &old);
    sync(&index, &fixture.images(), &old);
    let stopped = start(&index, &new).run(&new, 4, &mut |done, _| done < 8).unwrap();
    assert_eq!((stopped.embedded, stopped.complete), (8, false));
    let report = start(&index, &new).run(&new, 4, &mut |done, _| done < 8).unwrap();
    assert_eq!((report.embedded, report.done_before), (0, 8));
    assert_eq!(start(&index, &third).run(&third, 4, &mut |_, _| true).unwrap().embedded, 12, "another model: anew");
    let migration = start(&index, &new);
    assert!(migration.run(&third, 4, &mut |_, _| true).is_err(), "not the model it was begun for");
    assert_eq!(migration.run(&new, 4, &mut |_, _| true).unwrap().embedded, 12);
    assert_eq!(contents(&migration.finish().unwrap()).len(), 12);
    assert!(
        Migration::start(&Index::open(&fixture.path("index")).unwrap(), new.fingerprint().clone(), source()).is_err()
    );
}

#[test]
fn images_that_are_gone_are_named() {
    let fixture = Fixture::new(1, 3);
    let (old, new) = (Colors::new("colors"), Colors::new("other colors"));
    let index = fixture.create("index", &old);
    sync(&index, &fixture.images(), &old);
    std::fs::remove_file(fixture.images().join("class0/1.png")).unwrap();
    std::fs::write(fixture.images().join("class0/2.png"), b"BM no picture").unwrap();
    let report = start(&index, &new).run(&new, 4, &mut |_, _| true).unwrap();
    assert_eq!((report.embedded, report.missing.len()), (1, 2));
    assert!(report.missing[0].0.ends_with("class0/1.png"));
}
