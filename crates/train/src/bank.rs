//! The prompt memory bank: class prompts and their optimiser state in host memory.
//!
//! Class prompts are C * P * D numbers a block, gigabytes on large data sets, and a batch touches only the rows of its
//! own classes. The bank lends those rows for a step and takes them back updated; rows of absent classes do not change:
//! no momentum, no decay. The Adam step counter is one a block, as in the authors' code.

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use kinsight_model::prompts::{PromptSchedule, PromptTables};
use kinsight_model::weights::TensorMap;

use crate::learner::tables_from_tensors;
use crate::optim::{OptimizerConfig, Slots, flat};

/// Class prompts of all blocks with their optimiser state.
#[derive(Clone, Debug)]
pub struct PromptBank {
    schedule: PromptSchedule,
    row: usize,
    shape: [usize; 3],
    blocks: Vec<BankBlock>,
}

/// Rows of one block, each `P * D` values.
#[derive(Clone, Debug)]
struct BankBlock {
    step: u64,
    values: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl PromptBank {
    /// A bank with the values that `values(block)` gives, `[C, P, D]` each.
    pub fn new(
        classes: usize,
        width: usize,
        schedule: PromptSchedule,
        mut values: impl FnMut(usize) -> Vec<f32>,
    ) -> Self {
        let row = schedule.count * width;
        let blocks = (0..schedule.depth)
            .map(|i| BankBlock { step: 0, values: values(i), first: Vec::new(), second: Vec::new() })
            .collect();
        Self { schedule, row, shape: [classes, schedule.count, width], blocks }
    }

    /// Bytes of values and optimiser state once every class has been seen.
    pub fn bytes(classes: usize, width: usize, schedule: PromptSchedule, moments: usize) -> u64 {
        (classes * width * schedule.count * schedule.depth) as u64 * 4 * (1 + moments as u64)
    }

    /// The rows of `classes` as trainable tables `[G, P, D]`.
    pub fn lend(&self, classes: &[usize], device: &Device) -> PromptTables {
        let [_, count, width] = self.shape;
        let tables = self
            .blocks
            .iter()
            .map(|block| {
                let rows = gather(&block.values, classes, self.row);
                let data = TensorData::new(rows, [classes.len(), count, width]);
                Tensor::from_data(data, device).autodiff().require_grad()
            })
            .collect();
        tables_from_tensors(tables, self.schedule)
    }

    /// Updates the rows of `classes` with the gradients of the tables lent for them.
    pub fn take_back(
        &mut self,
        classes: &[usize],
        lent: &PromptTables,
        gradients: &mut Gradients,
        config: &OptimizerConfig,
        rate: f64,
    ) {
        for (block, table) in self.blocks.iter_mut().zip(&lent.tables) {
            let Some(gradient) = table.val().grad_remove(gradients) else { continue };
            let count = classes.len() * self.row;
            let device = gradient.device();
            let moment =
                |buffer: &Vec<f32>| (!buffer.is_empty()).then(|| flat(gather(buffer, classes, self.row), &device));
            let mut slots = Slots { step: block.step, first: moment(&block.first), second: moment(&block.second) };
            let value = flat(gather(&block.values, classes, self.row), &device);
            let value = slots.update(value, gradient.reshape([count]), rate, config);
            block.step = slots.step;
            scatter(&mut block.values, classes, self.row, value);
            for (buffer, slot) in [(&mut block.first, slots.first), (&mut block.second, slots.second)] {
                if let Some(moment) = slot {
                    buffer.resize(block.values.len(), 0.0);
                    scatter(buffer, classes, self.row, moment);
                }
            }
        }
    }

    /// Values and state as named tensors, for a checkpoint.
    pub fn to_tensors(&self) -> TensorMap {
        let mut tensors = TensorMap::new();
        for (i, block) in self.blocks.iter().enumerate() {
            let step = vec![(block.step >> 20) as f32, (block.step & 0xf_ffff) as f32];
            tensors.insert(format!("{i}/step"), TensorData::new(step, [2]));
            for (slot, buffer) in [("values", &block.values), ("first", &block.first), ("second", &block.second)] {
                if !buffer.is_empty() {
                    tensors.insert(format!("{i}/{slot}"), TensorData::new(buffer.clone(), self.shape));
                }
            }
        }
        tensors
    }

    /// Restores what [`Self::to_tensors`] gave; tensors of another size are refused.
    ///
    /// # Errors
    /// Names the tensor that does not fit.
    pub fn restore(&mut self, tensors: &TensorMap) -> Result<(), String> {
        let expected = self.shape.iter().product::<usize>();
        for (i, block) in self.blocks.iter_mut().enumerate() {
            let values = |slot: &str| -> Result<Option<Vec<f32>>, String> {
                let name = format!("{i}/{slot}");
                let Some(data) = tensors.get(&name) else { return Ok(None) };
                data.try_to_vec::<f32>().map(Some).map_err(|e| format!("{name}: {e:?}"))
            };
            let Some(step) = values("step")?.filter(|s| s.len() == 2) else {
                return Err(format!("{i}/step is missing"));
            };
            block.step = ((step[0] as u64) << 20) | step[1] as u64;
            for (slot, buffer) in
                [("values", &mut block.values), ("first", &mut block.first), ("second", &mut block.second)]
            {
                *buffer = values(slot)?.unwrap_or_default();
                if !(buffer.len() == expected || buffer.is_empty() && slot != "values") {
                    return Err(format!("{i}/{slot} has {} values, expected {expected}", buffer.len()));
                }
            }
        }
        Ok(())
    }
}

fn gather(buffer: &[f32], rows: &[usize], width: usize) -> Vec<f32> {
    rows.iter().flat_map(|row| &buffer[row * width..(row + 1) * width]).copied().collect()
}

fn scatter(buffer: &mut [f32], rows: &[usize], width: usize, values: Tensor<1>) {
    let values = values.into_data();
    #[expect(clippy::expect_used, reason = "optimiser tensors are f32 by construction")]
    let values = values.as_slice::<f32>().expect("f32 tensor");
    for (row, new) in rows.iter().zip(values.chunks_exact(width)) {
        buffer[row * width..(row + 1) * width].copy_from_slice(new);
    }
}
