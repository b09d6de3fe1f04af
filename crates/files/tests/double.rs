//! The double itself: what it says of writers that are careful, and of those that are not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use kinsight_files::{AtomicFile, DurableFile, Fail, Loss, MappedFileMut, Recording, committed};
use tempfile::TempDir;

/// A folder with a file `a`, and a place for what a crash leaves.
fn folders() -> (TempDir, PathBuf, PathBuf) {
    let temporary = tempfile::tempdir().unwrap();
    let (root, target) = (temporary.path().join("root"), temporary.path().join("crash"));
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a"), vec![b'o'; 10_000]).unwrap();
    (temporary, root, target)
}

/// What `file` holds after crashes with these seeds.
fn contents(recording: &Recording, calls: usize, target: &Path, file: &str) -> BTreeSet<Option<Vec<u8>>> {
    let content = |seed| {
        recording.crash_after(calls, Loss::Mixed(seed), target).unwrap();
        fs::read(target.join(file)).ok()
    };
    (0..64).map(content).collect()
}

#[test]
fn what_is_not_synced_can_be_lost_and_torn() {
    let (_temporary, root, target) = folders();
    let recording = Recording::start(&root).unwrap();
    let mut file = DurableFile::open(&root.join("a")).unwrap();
    file.write_at(0, &[b'n'; 10_000]).unwrap();
    let read = |loss| {
        recording.crash_after(1, loss, &target).unwrap();
        fs::read(target.join("a")).unwrap()
    };
    assert_eq!(read(Loss::Nothing), [b'n'; 10_000]);
    assert_eq!(read(Loss::Unsynced), [b'o'; 10_000]);
    let seen = contents(&recording, 1, &target, "a");
    assert!(seen.contains(&Some(vec![b'n'; 10_000])) && seen.contains(&Some(vec![b'o'; 10_000])));
    let torn = seen.iter().flatten().filter(|content| content.contains(&b'o') && content.contains(&b'n'));
    assert!(torn.count() > 8, "a naive overwrite is caught torn");
    file.sync().unwrap();
    assert_eq!(contents(&recording, 2, &target, "a"), BTreeSet::from([Some(vec![b'n'; 10_000])]));
}

#[test]
fn an_appended_file_can_be_longer_than_what_reached_it() {
    let (_temporary, root, target) = folders();
    let recording = Recording::start(&root).unwrap();
    DurableFile::open(&root.join("a")).unwrap().append(&[b'n'; 2000]).unwrap();
    let seen = contents(&recording, 1, &target, "a");
    assert!(seen.iter().flatten().any(|content| content.len() == 12_000 && content.ends_with(&[0])));
    assert!(seen.iter().flatten().all(|content| content.starts_with(&[b'o'; 10_000])));
}

#[test]
fn an_entry_lasts_with_its_folder() {
    let (_temporary, root, target) = folders();
    let recording = Recording::start(&root).unwrap();
    kinsight_files::write(&root.join("a"), b"new").unwrap();
    let (old, new) = (Some(vec![b'o'; 10_000]), Some(b"new".to_vec()));
    assert_eq!(recording.calls(), 5, "create, write, sync, rename, sync the folder");
    recording.crash_after(4, Loss::Unsynced, &target).unwrap();
    assert_eq!(fs::read(target.join("a")).ok(), old, "renamed, but the folder is not synced");
    assert_eq!(contents(&recording, 4, &target, "a"), BTreeSet::from([old.clone(), new.clone()]));
    assert_eq!(contents(&recording, 5, &target, "a"), BTreeSet::from([new.clone()]));
    let check = |calls, loss| {
        let found = fs::read(target.join("a")).ok();
        assert!(found == new || (found == old && calls < 5), "{calls} calls, {loss:?}");
    };
    recording.every_crash(16, &target, check).unwrap();
}

#[test]
fn a_new_file_needs_both_syncs() {
    let (_temporary, root, target) = folders();
    let recording = Recording::start(&root).unwrap();
    let mut file = DurableFile::create(&root.join("b")).unwrap();
    file.append(b"text").unwrap();
    recording.crash_after(1, Loss::Unsynced, &target).unwrap();
    assert!(!target.join("b").exists());
    recording.crash_after(3, Loss::Unsynced, &target).unwrap();
    assert_eq!(fs::read(target.join("b")).unwrap(), b"");
    file.sync().unwrap();
    recording.crash_after(4, Loss::Unsynced, &target).unwrap();
    assert_eq!(fs::read(target.join("b")).unwrap(), b"text");
}

#[test]
fn folders_are_made_from_above_and_removed_from_below() {
    let (_temporary, root, target) = folders();
    let recording = Recording::start(&root).unwrap();
    kinsight_files::create_dir_all(&root.join("x/y")).unwrap();
    kinsight_files::write(&root.join("x/y/f"), b"1").unwrap();
    let made = recording.calls();
    recording.crash_after(made, Loss::Unsynced, &target).unwrap();
    assert_eq!(fs::read(target.join("x/y/f")).unwrap(), b"1");
    kinsight_files::rename(&root.join("x"), &root.join("z")).unwrap();
    recording.crash_after(recording.calls(), Loss::Unsynced, &target).unwrap();
    assert!(target.join("z/y/f").is_file() && !target.join("x").exists());
    kinsight_files::remove_dir_all(&root.join("z")).unwrap();
    recording.crash_after(recording.calls() - 2, Loss::Nothing, &target).unwrap();
    assert!(target.join("z").is_dir() && !target.join("z/y").exists(), "half removed");
    recording.crash_after(recording.calls() - 1, Loss::Unsynced, &target).unwrap();
    assert!(target.join("z/y/f").is_file(), "no removal has lasted yet");
    recording.crash_after(recording.calls(), Loss::Unsynced, &target).unwrap();
    assert!(!target.join("z").exists());
}

#[test]
fn a_removed_file_stays_removed() {
    let (_temporary, root, target) = folders();
    let recording = Recording::start(&root).unwrap();
    kinsight_files::remove_file(&root.join("a")).unwrap();
    assert_eq!(recording.calls(), 2, "remove, sync the folder");
    recording.crash_after(1, Loss::Unsynced, &target).unwrap();
    assert!(target.join("a").exists(), "the removal has not lasted yet");
    assert_eq!(contents(&recording, 2, &target, "a"), BTreeSet::from([None]));
    // Nothing to remove is no failure.
    kinsight_files::remove_file(&root.join("a")).unwrap();
}

#[test]
fn mapped_pages_reach_the_disk_when_they_like() {
    let (_temporary, root, target) = folders();
    let recording = Recording::start(&root).unwrap();
    let mut map = MappedFileMut::of(&DurableFile::open(&root.join("a")).unwrap()).unwrap();
    map[..8192].fill(b'n');
    kinsight_files::write(&root.join("other"), b"").unwrap();
    recording.crash_after(1, Loss::Nothing, &target).unwrap();
    assert_eq!(fs::read(target.join("a")).unwrap()[8191..8193], *b"no");
    assert!(contents(&recording, 1, &target, "a").len() > 4, "any of the pages, in part");
    let before = recording.calls();
    map.flush().unwrap();
    assert_eq!(contents(&recording, before + 1, &target, "a").len(), 1);
}

#[test]
fn a_foreign_commit_is_one_step_and_foreign_files_are_none() {
    let (_temporary, root, target) = folders();
    let recording = Recording::start(&root).unwrap();
    fs::write(root.join("db"), b"1").unwrap();
    fs::write(root.join("stray"), b"1").unwrap();
    committed(&[&root.join("db"), &root.join("db-wal")]).unwrap();
    kinsight_files::write(&root.join("ours"), b"1").unwrap();
    fs::write(root.join("db-wal"), b"2").unwrap();
    committed(&[&root.join("db"), &root.join("db-wal")]).unwrap();
    for (calls, wal) in [(1, None), (6, None), (7, Some(b"2".to_vec()))] {
        recording.crash_after(calls, Loss::Unsynced, &target).unwrap();
        assert_eq!(fs::read(target.join("db")).unwrap(), b"1");
        assert_eq!(fs::read(target.join("db-wal")).ok(), wal);
        assert!(!target.join("stray").exists());
    }
}

#[test]
fn a_failing_call_leaves_the_old_file_and_nothing_next_to_it() {
    let (_temporary, root, _) = folders();
    let old = vec![b'o'; 10_000];
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        for call in 0..5 {
            let recording = Recording::fail(&root, call, kind, Fail::Once).unwrap();
            let error = kinsight_files::write(&root.join("a"), b"new").unwrap_err();
            assert_eq!(error.source.kind(), kind);
            assert_eq!(fs::read(root.join("a")).unwrap() == old, call < 4, "renamed, though the folder is not synced");
            assert_eq!(fs::read_dir(&root).unwrap().count(), 1, "call {call}");
            drop(recording);
            fs::write(root.join("a"), &old).unwrap();
        }
    }
    let recording = Recording::fail(&root, 1, ErrorKind::StorageFull, Fail::Onwards).unwrap();
    let mut file = AtomicFile::create(&root.join("a")).unwrap();
    file.write_all(b"four").unwrap();
    file.commit().unwrap_err();
    assert_eq!(fs::read(root.join("a.partial")).unwrap(), b"fo", "half of it found room, and removing it failed");
    drop(recording);
    kinsight_files::write(&root.join("a"), b"four").unwrap();
    assert_eq!(fs::read_dir(&root).unwrap().count(), 1, "the next writer takes the place of what was left");
}
