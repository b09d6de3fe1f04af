//! Rows of class prompts in memory.

use super::Rows;

/// Values and moments of each block, `[C, P * D]`; moments appear with the first update.
#[derive(Clone, Debug)]
pub(super) struct RamRows {
    row: usize,
    blocks: Vec<[Vec<f32>; 3]>,
}

impl RamRows {
    pub fn new(row: usize, values: impl Iterator<Item = Vec<f32>>) -> Self {
        Self { row, blocks: values.map(|values| [values, Vec::new(), Vec::new()]).collect() }
    }

    /// The whole of one block's values or moments; empty before the first update.
    pub fn buffer(&self, block: usize, slot: usize) -> &[f32] {
        &self.blocks[block][slot]
    }

    /// Puts back what [`Self::buffer`] gave.
    pub fn set_buffer(&mut self, block: usize, slot: usize, values: Vec<f32>) {
        self.blocks[block][slot] = values;
    }
}

impl Rows for RamRows {
    fn read(&self, block: usize, slot: usize, classes: &[usize]) -> Vec<f32> {
        let buffer = &self.blocks[block][slot];
        if buffer.is_empty() {
            return vec![0.0; classes.len() * self.row];
        }
        classes.iter().flat_map(|class| &buffer[class * self.row..][..self.row]).copied().collect()
    }

    fn write(&mut self, classes: &[usize], rows: &[[Option<Vec<f32>>; 3]]) {
        for (block, new) in self.blocks.iter_mut().zip(rows) {
            let total = block[0].len();
            for (buffer, new) in block.iter_mut().zip(new) {
                let Some(new) = new else { continue };
                buffer.resize(total, 0.0);
                for (class, row) in classes.iter().zip(new.chunks_exact(self.row)) {
                    buffer[class * self.row..][..self.row].copy_from_slice(row);
                }
            }
        }
    }
}
