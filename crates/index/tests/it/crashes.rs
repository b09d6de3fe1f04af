//! Power cuts and failing disks at every single call that changes a file, on a double of the file layer.
//!
//! A crash leaves what was synced, and of the rest nothing, everything or any part. Whatever is left must be the index as it
//! was before the write or after it, whole, ready for the next write, and after it once it was acknowledged.

use std::io::ErrorKind;
use std::path::Path;

use kinsight_files::{Fail, Loss, Recording};
use kinsight_index::{
    Calibration, CalibrationRates, GraphSettings, ImageEmbedder, Index, Migration, Point, Result, Samples, compact,
};

use crate::fixture::{Colors, DIM, Fixture, bare, contents, copy_folder, damage, point, source, sync, upsert};

/// Random crashes at each call, besides losing nothing and losing all that was not synced.
const SEEDS: u64 = 2;

/// What must be as before or as after.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    points: Vec<Point>,
    calibration: Option<Calibration>,
    model: String,
    /// Rows that the graph covers, and removed ones it was measured with.
    graph: Option<(usize, usize)>,
}

/// `None` where there is no index.
fn seen(path: &Path) -> Option<Seen> {
    if !Index::exists(path) {
        return None;
    }
    let index = Index::open(path).unwrap();
    assert_eq!(damage(&index), [""; 0]);
    let manifest = index.manifest();
    let graph = index.store().stats().unwrap().graph;
    Some(Seen {
        points: contents(&index),
        calibration: manifest.calibration.clone(),
        model: manifest.fingerprint.backbone.clone(),
        graph: graph.map(|graph| (graph.rows, graph.tombstones)),
    })
}

fn unit(name: &str, seed: usize) -> Point {
    let values: Vec<f32> = (0..DIM).map(|i| ((seed * 31 + i * 17) % 23) as f32 - 11.5).collect();
    point(name, &values)
}

fn units(count: usize) -> Vec<Point> {
    (0..count).map(|i| unit(&format!("p{i:03}"), i)).collect()
}

/// Does `act` to an index made by `prepare` (or to none), with crashes and failures everywhere.
fn prove(prepare: impl Fn(&Path), act: impl Fn(&Path) -> Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    let (prepared, live, crashed) =
        (folder.path().join("prepared"), folder.path().join("live"), folder.path().join("crashed"));
    std::fs::create_dir(&prepared).unwrap();
    prepare(&prepared.join("index"));
    copy_folder(&prepared, &live);
    let (index, left) = (live.join("index"), crashed.join("index"));
    let before = seen(&index);

    let recording = Recording::start(&live).unwrap();
    act(&index).unwrap();
    let acknowledged = recording.calls();
    let after = seen(&index);
    assert_ne!(before, after, "something was done");
    let mut last = (0, 0);
    let check = |calls: usize, loss: Loss| {
        let found = seen(&left);
        let is_after = found == after;
        assert!(found == before || is_after, "after {calls} of {acknowledged} calls, {loss:?}: {found:?}");
        assert!(is_after || calls < acknowledged, "{loss:?}: an acknowledged write is lost");
        last = (last.0 + usize::from(!is_after), last.1 + usize::from(is_after));
        match found {
            // The next write goes on from there.
            Some(found) => {
                let opened = Index::open(&left).unwrap();
                let mut vector = vec![0.0; opened.store().dim()];
                vector[0] = 1.0;
                upsert(&opened, &[Point { vector, ..unit("next", 99) }]);
                assert_eq!((opened.store().len().unwrap(), damage(&opened)), (found.points.len() + 1, vec![]));
            }
            None => act(&left).unwrap(),
        }
    };
    recording.every_crash(SEEDS, &crashed, check).unwrap();
    assert!(last.0 > 0 && last.1 > 0, "both states were met: {last:?}");
    drop(recording);

    for call in 0..acknowledged {
        for (kind, fail) in [(ErrorKind::StorageFull, Fail::Onwards), (ErrorKind::Other, Fail::Once)] {
            std::fs::remove_dir_all(&live).unwrap();
            copy_folder(&prepared, &live);
            let recording = Recording::fail(&live, call, kind, fail).unwrap();
            let done = act(&index);
            drop(recording);
            let found = seen(&index);
            // Only tidying up may fail in silence.
            let allowed = found == after || (done.is_err() && found == before);
            assert!(allowed, "call {call} of {acknowledged} failed with {kind:?}: {done:?}, {found:?}");
            if found == before {
                act(&index).unwrap();
                assert_eq!(seen(&index), after, "after the failure of call {call}");
            }
        }
    }
}

fn small(path: &Path) {
    let index = bare(path, DIM, GraphSettings::default());
    upsert(&index, &units(3));
    index.writer().unwrap().remove(&[units(1)[0].id]).unwrap();
}

#[test]
fn creating() {
    prove(
        |_| (),
        |path| {
            let fingerprint = Colors::new("bare").fingerprint().clone();
            Index::create(path, fingerprint, source(), GraphSettings::default()).map(|_| ())
        },
    );
}

#[test]
fn writing() {
    prove(small, |path| Index::open(path)?.writer()?.upsert(&[unit("p001", 7), unit("new", 8)]));
    prove(small, |path| Index::open(path)?.writer()?.remove(&[units(3)[2].id]).map(|_| ()));
}

#[test]
fn keeping_thresholds() {
    let images = (0..8).map(|i| (unit("", i).vector, format!("{}", i % 2), i.to_string())).collect();
    let calibration = Calibration::measure(&Samples::new(images).unwrap(), CalibrationRates::default()).unwrap();
    prove(small, |path| Index::open(path)?.writer()?.set_calibration(Some(calibration.clone())));
}

#[test]
fn building_and_extending_and_measuring_the_graph() {
    let settings = GraphSettings { exact_values: 0, ..GraphSettings::default() };
    let optimize = |path: &Path| Index::open(path)?.writer()?.optimize(&|_, _| ());
    let filled = |path: &Path| {
        let index = bare(path, DIM, settings.clone());
        upsert(&index, &units(60));
    };
    let extended = |path: &Path| {
        filled(path);
        optimize(path).unwrap();
        upsert(&Index::open(path).unwrap(), &units(80)[60..]);
    };
    let shrunk = |path: &Path| {
        filled(path);
        optimize(path).unwrap();
        let ids: Vec<_> = units(30).iter().map(|point| point.id).collect();
        Index::open(path).unwrap().writer().unwrap().remove(&ids).unwrap();
    };
    prove(filled, optimize);
    prove(extended, optimize);
    prove(shrunk, optimize);
}

#[test]
fn compacting() {
    let settings = GraphSettings { exact_values: 0, ..GraphSettings::default() };
    let prepare = |path: &Path| {
        let index = bare(path, DIM, settings.clone());
        upsert(&index, &units(20));
        index.writer().unwrap().remove(&[units(5)[4].id]).unwrap();
    };
    // Compaction builds the graph that was lacking, which shows that it is done.
    prove(prepare, |path| compact(&Index::open(path)?, &|_, _| ()).map(|_| ()));
}

#[test]
fn migrating() {
    let fixture = Fixture::new(1, 3);
    let (old, new) = (Colors::new("colors"), Colors::new("other colors"));
    let prepare = |path: &Path| {
        let index = Index::create(path, old.fingerprint().clone(), source(), GraphSettings::default()).unwrap();
        sync(&index, &fixture.images(), &old);
    };
    prove(prepare, |path| {
        let index = Index::open(path)?;
        let migration = Migration::start(&index, new.fingerprint().clone(), source())?;
        migration.run(&new, 2, &mut |_, _| true)?;
        migration.finish().map(|_| ())
    });
}

#[test]
fn relocating() {
    let fixture = Fixture::new(1, 2);
    let model = Colors::new("colors");
    let prepare = |path: &Path| {
        let index = Index::create(path, model.fingerprint().clone(), source(), GraphSettings::default()).unwrap();
        sync(&index, &fixture.images(), &model);
    };
    let (old, new) = (fixture.images(), Path::new("/elsewhere"));
    prove(prepare, |path| Index::open(path)?.writer()?.relocate(&old, new, true).map(|_| ()));
}

#[test]
fn bringing_the_first_format_to_this_one() {
    let format1 = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format1");
    let prepare = |path: &Path| {
        copy_folder(&format1, path);
        // Without its upload, which lies wherever the index does and so differs from crash to crash.
        let catalog = rusqlite::Connection::open(path.join("generations/1/catalogue.sqlite")).unwrap();
        let statement =
            "DELETE FROM field_values WHERE slot = 3; DELETE FROM points WHERE slot = 3; INSERT INTO dead VALUES (3)";
        catalog.execute_batch(statement).unwrap();
    };
    prove(prepare, |path| {
        let index = Index::open(path)?;
        let removed = contents(&index)[0].id;
        index.writer()?.remove(&[removed]).map(|_| ())
    });
}
