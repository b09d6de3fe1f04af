//! A folder tree as a disk holds it: nodes, entries that name them, and changes of both.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Result;
use std::path::Path;

use crate::calls::identity;

/// A file or a folder, apart from its name.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    File(Vec<u8>),
    Folder(BTreeMap<OsString, usize>),
}

/// What a call changes.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Write { node: usize, offset: usize, bytes: Vec<u8> },
    Cut { node: usize, len: usize },
    Link { folder: usize, name: OsString, node: usize },
    Unlink { folder: usize, name: OsString },
    Move { from: (usize, OsString), to: (usize, OsString), node: usize },
}

impl Change {
    /// The file or folder whose sync makes it last. A rename between folders lasts with the folder it leads to.
    pub fn owner(&self) -> usize {
        match self {
            Self::Write { node, .. } | Self::Cut { node, .. } => *node,
            Self::Link { folder, .. } | Self::Unlink { folder, .. } => *folder,
            Self::Move { to, .. } => to.0,
        }
    }
}

/// All nodes; the first is the root.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub nodes: Vec<Node>,
}

impl Disk {
    /// Reads the tree at `root`; also the nodes of its files by their identity.
    pub fn read(root: &Path) -> Result<(Self, BTreeMap<u64, usize>)> {
        let (mut disk, mut files) = (Self { nodes: Vec::new() }, BTreeMap::new());
        disk.add(root, &mut files)?;
        Ok((disk, files))
    }

    fn add(&mut self, path: &Path, files: &mut BTreeMap<u64, usize>) -> Result<usize> {
        let node = self.nodes.len();
        if path.is_file() {
            files.insert(identity(&File::open(path)?)?, node);
            self.nodes.push(Node::File(fs::read(path)?));
            return Ok(node);
        }
        self.nodes.push(Node::Folder(BTreeMap::new()));
        let mut entries = BTreeMap::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            entries.insert(entry.file_name(), self.add(&entry.path(), files)?);
        }
        self.nodes[node] = Node::Folder(entries);
        Ok(node)
    }

    /// The node called `name` in `folder`.
    pub fn child(&self, folder: usize, name: &OsString) -> Option<usize> {
        match &self.nodes[folder] {
            Node::Folder(entries) => entries.get(name).copied(),
            Node::File(_) => None,
        }
    }

    /// Makes the change.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { node, offset, bytes } => self.write(*node, *offset, bytes),
            Change::Cut { node, len } => self.resize(*node, *len),
            Change::Link { folder, name, node } => self.set(*folder, name, Some(*node)),
            Change::Unlink { folder, name } => self.set(*folder, name, None),
            Change::Move { from, to, node } => {
                if self.child(from.0, &from.1) == Some(*node) {
                    self.set(from.0, &from.1, None);
                }
                self.set(to.0, &to.1, Some(*node));
            }
        }
    }

    fn write(&mut self, node: usize, offset: usize, bytes: &[u8]) {
        if let Node::File(content) = &mut self.nodes[node] {
            content.resize(content.len().max(offset + bytes.len()), 0);
            content[offset..offset + bytes.len()].copy_from_slice(bytes);
        }
    }

    fn resize(&mut self, node: usize, len: usize) {
        if let Node::File(content) = &mut self.nodes[node] {
            content.resize(len, 0);
        }
    }

    fn set(&mut self, folder: usize, name: &OsString, node: Option<usize>) {
        if let Node::Folder(entries) = &mut self.nodes[folder] {
            match node {
                Some(node) => entries.insert(name.clone(), node),
                None => entries.remove(name),
            };
        }
    }

    /// Writes the tree to the empty folder `target`.
    pub fn write_to(&self, target: &Path) -> Result<()> {
        self.write_node(0, target)
    }

    fn write_node(&self, node: usize, path: &Path) -> Result<()> {
        match &self.nodes[node] {
            Node::File(content) => fs::write(path, content),
            Node::Folder(entries) => {
                fs::create_dir_all(path)?;
                entries.iter().try_for_each(|(name, node)| self.write_node(*node, &path.join(name)))
            }
        }
    }
}
