//! Visual prompts (Jia et al., VPT, 2022, deep variant) and the schedule of how many each block sees.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::parameters::ParameterSource;

/// The prompts of one block for one batch.
#[derive(Clone, Debug)]
pub enum PromptRows {
    /// `[P, D]`, the same for every image.
    Shared(Tensor<2>),
    /// `[B, P, D]`, each image its own.
    PerImage(Tensor<3>),
}

impl PromptRows {
    /// `[B, P, D]`, shared prompts repeated.
    pub fn for_batch(self, batch: usize) -> Tensor<3> {
        match self {
            PromptRows::PerImage(rows) => rows,
            PromptRows::Shared(rows) => {
                let [count, width] = rows.dims();
                rows.unsqueeze::<3>().expand([batch, count, width])
            }
        }
    }
}

/// How many prompts each block gets.
///
/// Block `i < depth` uses the first `max(count - i * step, 0)` rows of its table; later blocks use none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromptSchedule {
    /// Rows of every block's table.
    pub count: usize,
    /// Number of blocks with a table.
    pub depth: usize,
    /// By how many rows each block uses fewer than the one before.
    pub step: usize,
}

impl Default for PromptSchedule {
    /// The paper's visual prompts: ten in each of twelve blocks.
    fn default() -> Self {
        Self { count: 10, depth: 12, step: 0 }
    }
}

impl PromptSchedule {
    /// Prompts used in block `block`.
    pub fn in_block(&self, block: usize) -> usize {
        if block < self.depth { self.count.saturating_sub(block.saturating_mul(self.step)) } else { 0 }
    }
}

/// Prompt tables of the blocks: `[1, P, D]` for visual prompts, `[C, P, D]` for class prompts.
#[derive(Module, Debug)]
pub struct PromptTables {
    /// One table a block, up to the schedule's depth.
    pub tables: Vec<Param<Tensor<3>>>,
    /// How many rows of each table are used.
    #[module(skip)]
    pub schedule: PromptSchedule,
}

impl PromptTables {
    /// Reads `name.tables.0`, `name.tables.1`, ...; `rows` is 1, or the number of classes.
    pub fn from_source(
        source: &mut impl ParameterSource,
        name: &str,
        rows: usize,
        width: usize,
        schedule: PromptSchedule,
    ) -> Self {
        let tables = (0..schedule.depth)
            .map(|i| source.parameter(&format!("{name}.tables.{i}"), [rows, schedule.count, width]))
            .collect();
        Self { tables, schedule }
    }

    /// Standard deviation of the normal distribution that prompts start from.
    ///
    /// ```text
    /// sqrt(2 / ((P + rows) * D))
    /// ```
    /// The authors' code; He et al.'s rule on a `[rows, P, D]` table.
    pub fn init_std(rows: usize, count: usize, width: usize) -> f64 {
        (2.0 / ((count + rows) as f64 * width as f64)).sqrt()
    }

    /// Visual prompts of one block, shared by all images.
    pub fn shared_in(&self, block: usize) -> Option<PromptRows> {
        let used = self.schedule.in_block(block);
        let table = self.tables.get(block).filter(|_| used > 0)?.val();
        let width = table.dims()[2];
        Some(PromptRows::Shared(table.narrow(1, 0, used).reshape([used, width])))
    }

    /// Class prompts of every block: row `classes[b]` of each table for image `b`.
    pub fn of_classes(&self, classes: &Tensor<1, burn::tensor::Int>) -> Vec<Option<PromptRows>> {
        let rows = |(block, table): (usize, &Param<Tensor<3>>)| {
            let used = self.schedule.in_block(block);
            (used > 0).then(|| PromptRows::PerImage(table.val().narrow(1, 0, used).select(0, classes.clone())))
        };
        self.tables.iter().enumerate().map(rows).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decreasing_schedule_ends_at_zero() {
        let schedule = PromptSchedule { count: 5, depth: 4, step: 2 };
        assert_eq!((0..6).map(|i| schedule.in_block(i)).collect::<Vec<_>>(), [5, 3, 1, 0, 0, 0]);
    }
}
