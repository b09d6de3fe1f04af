//! Rows of class prompts in a memory-mapped file, which needs no more memory than the rows in use.
//!
//! ```text
//! header | class 0: place A, place B | class 1: place A, place B | ..
//! a place: for each block its values, first moment, second moment
//! ```
//! Every class has two places. The last checkpoint says which of them holds the class's rows; the first update after a
//! checkpoint writes to the other one, later updates write there again. So nothing that the checkpoint needs is ever
//! overwritten, and a run that stops at any moment resumes from unchanged rows, without a journal or a repair. Before a checkpoint is written the file is synced; the checkpoint's own renaming commits both.

use std::collections::BTreeSet;
use std::path::Path;

use kinsight_files::{DurableFile, MappedFileMut};

use super::Rows;
use crate::error::TrainError;

/// First bytes of the file; its last number is the version.
const MAGIC: [u8; 16] = *b"kinsight bank v1";
const HEADER: usize = 4096;

/// What a file holds, checked when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub classes: usize,
    pub blocks: usize,
    /// Numbers of one class in one block, P * D.
    pub row: usize,
    /// Moments that the optimizer keeps.
    pub moments: usize,
}

impl Layout {
    fn place_len(&self) -> usize {
        self.blocks * self.row * (1 + self.moments)
    }

    /// Size of the file.
    pub fn file_bytes(&self) -> u64 {
        HEADER as u64 + 2 * (self.classes * self.place_len()) as u64 * 4
    }

    fn header(&self) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        for number in [self.classes, self.blocks, self.row, self.moments] {
            header.extend((number as u64).to_le_bytes());
        }
        header.resize(HEADER, 0);
        header
    }
}

/// The file, and which place of each class is in use.
#[derive(Debug)]
pub(super) struct MappedRows {
    layout: Layout,
    map: MappedFileMut,
    /// Whether a class's rows are in place B.
    in_second: Vec<bool>,
    /// Classes that moved to their other place since the last checkpoint.
    moved: BTreeSet<usize>,
}

impl MappedRows {
    /// Makes the file, with the rows of `values(block)` in each class's first place.
    pub fn create(path: &Path, layout: Layout, mut values: impl FnMut(usize) -> Vec<f32>) -> Result<Self, TrainError> {
        // Written in full rather than left sparse: a full disk is an error here, and not a signal in the middle of a step.
        let mut file = DurableFile::create(path)?;
        let (empty, mut written) = (vec![0; 1 << 20], 0);
        while written < layout.file_bytes() {
            let more = layout.file_bytes().saturating_sub(written).min(1 << 20);
            file.write_at(written, &empty[..more as usize])?;
            written += more;
        }
        file.write_at(0, &layout.header())?;
        file.sync()?;
        let mut rows = Self::of(&file, layout)?;
        for block in 0..layout.blocks {
            for (class, row) in values(block).chunks_exact(layout.row).enumerate() {
                rows.place_mut(class, block, 0).copy_from_slice(row);
            }
        }
        rows.flush()?;
        Ok(rows)
    }

    /// Makes the file sparse, all rows zero.
    pub fn create_empty(path: &Path, layout: Layout) -> Result<(), TrainError> {
        let mut file = DurableFile::create(path)?;
        file.write_at(0, &layout.header())?;
        Ok(file.set_len(layout.file_bytes())?)
    }

    /// Opens the file; a file of another layout is an error.
    pub fn open(path: &Path, layout: Layout) -> Result<Self, TrainError> {
        Self::of(&DurableFile::open(path)?, layout)
    }

    fn of(file: &DurableFile, layout: Layout) -> Result<Self, TrainError> {
        let map = MappedFileMut::of(file)?;
        if map.len() as u64 != layout.file_bytes() || map[..HEADER] != layout.header()[..] {
            return Err(TrainError::RunFolder {
                path: file.path().to_owned(),
                message: "the file contains a bank of another shape".into(),
                hint: "resume with the settings and classes that the run began with".into(),
            });
        }
        Ok(Self { layout, map, in_second: vec![false; layout.classes], moved: BTreeSet::new() })
    }

    /// Which place of each class is in use, for the checkpoint.
    pub fn places(&self) -> &[bool] {
        &self.in_second
    }

    /// Takes the places of a checkpoint.
    pub fn set_places(&mut self, in_second: Vec<bool>) {
        self.in_second = in_second;
        self.moved.clear();
    }

    /// Brings all rows to the disk; to be called before the checkpoint that names their places is written.
    pub fn flush(&self) -> Result<(), TrainError> {
        Ok(self.map.flush()?)
    }

    /// A checkpoint names the places in use: from now on they must stay as they are.
    pub fn checkpointed(&mut self) {
        self.moved.clear();
    }

    fn range(&self, class: usize, block: usize, slot: usize) -> std::ops::Range<usize> {
        let place = 2 * class + usize::from(self.in_second[class]);
        let start = place * self.layout.place_len() + (block * (1 + self.layout.moments) + slot) * self.layout.row;
        HEADER + start * 4..HEADER + (start + self.layout.row) * 4
    }

    fn place(&self, class: usize, block: usize, slot: usize) -> &[f32] {
        // The header is a whole number of pages and all else are f32, so the bytes are aligned.
        bytemuck::cast_slice(&self.map[self.range(class, block, slot)])
    }

    fn place_mut(&mut self, class: usize, block: usize, slot: usize) -> &mut [f32] {
        let range = self.range(class, block, slot);
        bytemuck::cast_slice_mut(&mut self.map[range])
    }
}

impl Rows for MappedRows {
    fn read(&self, block: usize, slot: usize, classes: &[usize]) -> Vec<f32> {
        if slot > self.layout.moments {
            return vec![0.0; classes.len() * self.layout.row];
        }
        classes.iter().flat_map(|class| self.place(*class, block, slot)).copied().collect()
    }

    fn write(&mut self, classes: &[usize], rows: &[[Option<Vec<f32>>; 3]]) {
        let width = self.layout.row;
        for (i, class) in classes.iter().enumerate() {
            let moves = self.moved.insert(*class);
            for (block, new) in rows.iter().enumerate() {
                for slot in 0..=self.layout.moments {
                    // What is not replaced moves along.
                    let row = match &new[slot] {
                        Some(new) => new[i * width..][..width].to_vec(),
                        None => self.place(*class, block, slot).to_vec(),
                    };
                    if moves {
                        self.in_second[*class] ^= true;
                    }
                    self.place_mut(*class, block, slot).copy_from_slice(&row);
                    if moves {
                        self.in_second[*class] ^= true;
                    }
                }
            }
            if moves {
                self.in_second[*class] ^= true;
            }
        }
    }
}
