//! What a recording has seen.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Error, Read, Result, Seek};
use std::path::{Path, PathBuf};

use super::Failure;
use super::disk::{Change, Disk, Node};
use crate::calls::identity;
use crate::folder::parent;

/// A page, the unit in which mapped memory reaches the disk.
const PAGE: usize = 4096;

/// A step of the log.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    /// Pending until its owner is synced.
    Change(Change),
    /// All changes of this file or folder last.
    Sync(usize),
    /// These last at once, all of them or none.
    Committed(Vec<Change>),
}

/// The log of a recording, and the tree as it is now.
#[derive(Debug)]
pub(crate) struct State {
    pub root: PathBuf,
    start: Disk,
    live: Disk,
    files: BTreeMap<u64, usize>,
    maps: Vec<File>,
    log: Vec<Call>,
    /// Where in the log each call begins.
    calls: Vec<usize>,
    failure: Option<Failure>,
}

impl State {
    pub fn new(root: &Path, failure: Option<Failure>) -> Result<Self> {
        let root = root.canonicalize()?;
        let (start, files) = Disk::read(&root)?;
        let live = start.clone();
        Ok(Self { root, start, live, files, maps: Vec::new(), log: Vec::new(), calls: Vec::new(), failure })
    }

    /// How many calls there were.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Counts a call; fails it if it is to fail.
    pub fn begin(&mut self) -> Result<()> {
        self.observe_maps()?;
        let call = self.calls.len();
        self.calls.push(self.log.len());
        match self.failure {
            Some(failure) if failure.strikes(call) => Err(Error::from(failure.kind)),
            _ => Ok(()),
        }
    }

    /// Adds what a call did to the log.
    pub fn finish(&mut self, call: Call) {
        match &call {
            Call::Change(change) => self.live.apply(change),
            Call::Committed(changes) => changes.iter().for_each(|change| self.live.apply(change)),
            Call::Sync(_) => {}
        }
        self.log.push(call);
    }

    /// What lasted when `calls` calls were done, and what was written but might not have lasted.
    pub fn replay(&self, calls: usize) -> (Disk, Vec<Change>) {
        let (mut durable, mut pending) = (self.start.clone(), Vec::<Change>::new());
        for node in &self.live.nodes[durable.nodes.len()..] {
            durable.nodes.push(match node {
                Node::File(_) => Node::File(Vec::new()),
                Node::Folder(_) => Node::Folder(BTreeMap::new()),
            });
        }
        let end = self.calls.get(calls).copied().unwrap_or(self.log.len());
        for call in &self.log[..end] {
            match call {
                Call::Change(change) => pending.push(change.clone()),
                Call::Sync(node) => {
                    pending.extract_if(.., |change| change.owner() == *node).for_each(|change| durable.apply(&change));
                }
                Call::Committed(changes) => {
                    for change in changes {
                        if let Change::Write { node, .. } = change {
                            pending.retain(|change| change.owner() != *node);
                        }
                        durable.apply(change);
                    }
                }
            }
        }
        (durable, pending)
    }

    /// Watches a file that is written through memory.
    pub fn map(&mut self, file: File) {
        self.maps.push(file);
    }

    /// Adds pages to the log that mapped memory changed: memory and file are one to the operating system.
    pub fn observe_maps(&mut self) -> Result<()> {
        for place in 0..self.maps.len() {
            let mut content = Vec::new();
            self.maps[place].rewind()?;
            self.maps[place].read_to_end(&mut content)?;
            let node = self.node_of(&self.maps[place].try_clone()?);
            let Node::File(old) = &self.live.nodes[node] else { continue };
            let changed: Vec<Call> = (content.chunks(PAGE).enumerate())
                .filter(|(page, new)| old.get(page * PAGE..page * PAGE + new.len()) != Some(new))
                .map(|(page, new)| Change::Write { node, offset: page * PAGE, bytes: new.to_vec() })
                .map(Call::Change)
                .collect();
            changed.into_iter().for_each(|call| self.finish(call));
        }
        Ok(())
    }

    /// The node of an open file. One that was made by other means than this crate has no name in any crash.
    pub fn node_of(&mut self, file: &File) -> usize {
        match identity(file).ok().and_then(|identity| self.files.get(&identity)) {
            Some(node) => *node,
            None => self.new_file(file),
        }
    }

    /// A node for a new file.
    pub fn new_file(&mut self, file: &File) -> usize {
        self.live.nodes.push(Node::File(Vec::new()));
        let node = self.live.nodes.len() - 1;
        if let Ok(identity) = identity(file) {
            self.files.insert(identity, node);
        }
        node
    }

    /// A node for a new folder.
    pub fn new_folder(&mut self) -> usize {
        self.live.nodes.push(Node::Folder(BTreeMap::new()));
        self.live.nodes.len() - 1
    }

    /// A new entry.
    pub fn link(&self, path: &Path, node: usize) -> Option<Call> {
        let (folder, name) = self.entry(path)?;
        Some(Call::Change(Change::Link { folder, name, node }))
    }

    /// An entry that goes.
    pub fn unlink(&self, path: &Path) -> Option<Call> {
        let (folder, name) = self.entry(path)?;
        Some(Call::Change(Change::Unlink { folder, name }))
    }

    /// An entry with a new name.
    pub fn moved(&self, from: &Path, to: &Path) -> Option<Call> {
        let (from, to) = (self.entry(from)?, self.entry(to)?);
        let node = self.live.child(from.0, &from.1)?;
        Some(Call::Change(Change::Move { from, to, node }))
    }

    /// The node of a folder by its path.
    pub fn folder(&self, path: &Path) -> Option<usize> {
        let path = path.canonicalize().ok()?;
        let mut names = path.strip_prefix(&self.root).ok()?.components();
        names.try_fold(0, |folder, name| self.live.child(folder, &name.as_os_str().to_owned()))
    }

    fn entry(&self, path: &Path) -> Option<(usize, OsString)> {
        Some((self.folder(parent(path))?, path.file_name()?.to_owned()))
    }

    /// The files as they are now, as one step that lasts.
    pub fn committed(&mut self, paths: &[&Path]) -> Result<()> {
        let mut changes = Vec::new();
        for path in paths {
            let Some((folder, name)) = self.entry(path) else { continue };
            if !path.is_file() {
                changes.push(Change::Unlink { folder, name });
                continue;
            }
            let (file, bytes) = (File::open(path)?, fs::read(path)?);
            let node = match self.live.child(folder, &name) {
                Some(node) => node,
                None => self.new_file(&file),
            };
            changes.push(Change::Link { folder, name, node });
            changes.push(Change::Cut { node, len: 0 });
            changes.push(Change::Write { node, offset: 0, bytes });
        }
        self.calls.push(self.log.len());
        self.finish(Call::Committed(changes));
        Ok(())
    }
}
