//! The prompt memory bank: class prompts and their optimizer state outside the device, in memory or in a file.
//!
//! Class prompts are C * P * D numbers a block, gigabytes on large data sets, and a batch touches only the rows of its
//! own classes. The bank lends those rows for a step and takes them back updated; rows of absent classes do not change:
//! no momentum, no decay. Each block has one Adam step counter, as in the authors' code.

mod mapped;
mod ram;

use std::path::Path;

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use kinsight_model::prompts::{PromptSchedule, PromptTables};
use kinsight_model::weights::{TensorMap, TensorSlice};
use serde::{Deserialize, Serialize};

use self::mapped::{Layout, MappedRows};
use self::ram::RamRows;
use crate::error::TrainError;
use crate::learner::tables_from_tensors;
use crate::optim::{OptimizerConfig, Slots, flat};

/// Where the bank keeps its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BankStorage {
    /// In memory.
    #[default]
    Ram,
    /// In a memory-mapped file of the run folder, twice the size: every class has two places, and no update touches the one
    /// that the last checkpoint needs.
    Disk,
}

/// What a bank takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BankCost {
    /// Where it is.
    pub storage: BankStorage,
    /// Bytes of memory, once every class has been seen.
    pub ram_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
}

/// Names of what is kept of a row.
const SLOTS: [&str; 3] = ["values", "first", "second"];

/// A store of rows by block, kind (0 values, 1 and 2 moments) and class.
trait Rows {
    /// The rows of `classes`, one after the other; zeros where there is nothing yet.
    fn read(&self, block: usize, slot: usize, classes: &[usize]) -> Vec<f32>;

    /// Replaces the rows of `classes`, for each block and kind; `None` leaves them as they are.
    fn write(&mut self, classes: &[usize], rows: &[[Option<Vec<f32>>; 3]]);
}

/// Class prompts of all blocks with their optimizer state.
#[derive(Debug)]
pub struct PromptBank {
    schedule: PromptSchedule,
    shape: [usize; 3],
    /// Updates of each block so far.
    steps: Vec<u64>,
    rows: Storage,
}

#[derive(Debug)]
enum Storage {
    Ram(RamRows),
    Mapped(MappedRows),
}

impl PromptBank {
    /// A bank in memory with the values that `values(block)` gives, `[C, P, D]` each.
    ///
    /// # Errors
    /// [`TrainError::Config`] if there is no memory for them.
    pub fn new(
        classes: usize,
        width: usize,
        schedule: PromptSchedule,
        values: impl FnMut(usize) -> Vec<f32>,
    ) -> Result<Self, TrainError> {
        let bytes = Self::bytes(classes, width, schedule, 0);
        if Vec::<u8>::new().try_reserve_exact(bytes as usize).is_err() {
            let message = format!("class prompts of {classes} classes take {} GB, more than can be had", bytes >> 30);
            return Err(TrainError::Config {
                message,
                hint: "lower proxies.class_prompts.count, or use --bank disk".into(),
            });
        }
        let row = schedule.count * width;
        let rows = Storage::Ram(RamRows::new(row, (0..schedule.depth).map(values)));
        Ok(Self { schedule, shape: [classes, schedule.count, width], steps: vec![0; schedule.depth], rows })
    }

    /// A bank in a new file at `path`, with the values that `values(block)` gives.
    ///
    /// # Errors
    /// [`TrainError::File`] if the file cannot be written in full.
    pub fn create(
        path: &Path,
        classes: usize,
        width: usize,
        schedule: PromptSchedule,
        moments: usize,
        values: impl FnMut(usize) -> Vec<f32>,
    ) -> Result<Self, TrainError> {
        let layout = Self::layout(classes, width, schedule, moments);
        let rows = MappedRows::create(path, layout, values)?;
        Ok(Self::mapped(rows, classes, width, schedule))
    }

    /// Makes a file of a bank's size that takes no space yet, its rows all zero: for trying out what a run takes.
    ///
    /// # Errors
    /// [`TrainError::File`]
    pub(crate) fn create_empty(
        path: &Path,
        classes: usize,
        width: usize,
        schedule: PromptSchedule,
        moments: usize,
    ) -> Result<(), TrainError> {
        let layout = Self::layout(classes, width, schedule, moments);
        MappedRows::create_empty(path, layout)
    }

    /// The bank in the file at `path`, which a checkpoint is to be put into with [`Self::restore`].
    ///
    /// # Errors
    /// [`TrainError::File`] if the file cannot be read;
    /// [`TrainError::RunFolder`] if it holds a bank of another shape.
    pub fn open(
        path: &Path,
        classes: usize,
        width: usize,
        schedule: PromptSchedule,
        moments: usize,
    ) -> Result<Self, TrainError> {
        let layout = Self::layout(classes, width, schedule, moments);
        let rows = MappedRows::open(path, layout)?;
        Ok(Self::mapped(rows, classes, width, schedule))
    }

    fn mapped(rows: MappedRows, classes: usize, width: usize, schedule: PromptSchedule) -> Self {
        let shape = [classes, schedule.count, width];
        Self { schedule, shape, steps: vec![0; schedule.depth], rows: Storage::Mapped(rows) }
    }

    fn layout(classes: usize, width: usize, schedule: PromptSchedule, moments: usize) -> Layout {
        Layout { classes, blocks: schedule.depth, row: schedule.count * width, moments }
    }

    /// Bytes of values and optimizer state once every class has been seen.
    pub fn bytes(classes: usize, width: usize, schedule: PromptSchedule, moments: usize) -> u64 {
        let factors = [width, schedule.count, schedule.depth, 4, 1 + moments];
        factors.iter().fold(classes as u64, |bytes, factor| bytes.saturating_mul(*factor as u64))
    }

    /// What a bank of these sizes takes.
    pub fn cost(
        classes: usize,
        width: usize,
        schedule: PromptSchedule,
        moments: usize,
        storage: BankStorage,
    ) -> BankCost {
        match storage {
            BankStorage::Ram => {
                BankCost { storage, ram_bytes: Self::bytes(classes, width, schedule, moments), file_bytes: 0 }
            }
            BankStorage::Disk => {
                let file_bytes = Self::layout(classes, width, schedule, moments).file_bytes();
                BankCost { storage, ram_bytes: 0, file_bytes }
            }
        }
    }

    fn rows(&self) -> &dyn Rows {
        match &self.rows {
            Storage::Ram(rows) => rows,
            Storage::Mapped(rows) => rows,
        }
    }

    /// The rows of `classes` as trainable tables `[G, P, D]`.
    pub fn lend(&self, classes: &[usize], device: &Device) -> PromptTables {
        let [_, count, width] = self.shape;
        let table = |block| {
            let data = TensorData::new(self.rows().read(block, 0, classes), [classes.len(), count, width]);
            Tensor::from_data(data, device).autodiff().require_grad()
        };
        tables_from_tensors((0..self.schedule.depth).map(table).collect(), self.schedule)
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
        let count = classes.len() * self.schedule.count * self.shape[2];
        let mut new: Vec<[Option<Vec<f32>>; 3]> = vec![[None, None, None]; self.schedule.depth];
        for (block, table) in lent.tables.iter().enumerate() {
            let Some(gradient) = table.val().grad_remove(gradients) else { continue };
            let device = gradient.device();
            let rows = |slot| flat(self.rows().read(block, slot, classes), &device);
            let moment = |slot| (self.steps[block] > 0 && slot <= config.moments()).then(|| rows(slot));
            let mut slots = Slots { step: self.steps[block], first: moment(1), second: moment(2) };
            let value = slots.update(rows(0), gradient.reshape([count]), rate, config);
            self.steps[block] = slots.step;
            let numbers = |tensor: Tensor<1>| tensor.into_data().iter::<f32>().collect::<Vec<f32>>();
            new[block] = [Some(numbers(value)), slots.first.map(numbers), slots.second.map(numbers)];
        }
        match &mut self.rows {
            Storage::Ram(rows) => rows.write(classes, &new),
            Storage::Mapped(rows) => rows.write(classes, &new),
        }
    }

    /// Brings a file's rows to the disk, before a checkpoint is written that relies on them.
    ///
    /// # Errors
    /// [`TrainError::File`]
    pub fn flush(&self) -> Result<(), TrainError> {
        match &self.rows {
            Storage::Ram(_) => Ok(()),
            Storage::Mapped(rows) => rows.flush(),
        }
    }

    /// Says that a checkpoint with [`Self::to_tensors`] has been written.
    pub fn checkpointed(&mut self) {
        if let Storage::Mapped(rows) = &mut self.rows {
            rows.checkpointed();
        }
    }

    /// What a checkpoint keeps besides [`Self::rows_in_memory`]: the steps, and of a file where the rows are in it.
    pub fn to_tensors(&self) -> TensorMap {
        let mut tensors = TensorMap::new();
        for (block, step) in self.steps.iter().enumerate() {
            let halves = vec![(step >> 20) as f32, (step & 0xf_ffff) as f32];
            tensors.insert(format!("{block}/step"), TensorData::new(halves, [2]));
        }
        if let Storage::Mapped(rows) = &self.rows {
            let places: Vec<f32> = rows.places().iter().map(|second| f32::from(u8::from(*second))).collect();
            let count = places.len();
            tensors.insert("places".into(), TensorData::new(places, [count]));
        }
        tensors
    }

    /// Values and moments of a bank in memory, for the checkpoint.
    pub fn rows_in_memory(&self) -> impl Iterator<Item = (String, TensorSlice<'_>)> {
        let rows = match &self.rows {
            Storage::Ram(rows) => Some(rows),
            Storage::Mapped(_) => None,
        };
        let buffers = rows.into_iter().flat_map(|rows| {
            let slots =
                (0..self.schedule.depth).flat_map(|block| SLOTS.into_iter().enumerate().map(move |s| (block, s)));
            slots.map(|(block, (slot, name))| (format!("{block}/{name}"), rows.buffer(block, slot)))
        });
        let slices = buffers.map(|(name, values)| (name, TensorSlice { shape: self.shape.to_vec(), values }));
        slices.filter(|(_, slice)| !slice.values.is_empty())
    }

    /// Restores what [`Self::to_tensors`] and [`Self::rows_in_memory`] gave; tensors of another size are refused.
    ///
    /// # Errors
    /// Names the tensor that does not fit.
    pub fn restore(&mut self, mut tensors: TensorMap) -> Result<(), String> {
        let mut values = |name: &str| -> Result<Option<Vec<f32>>, String> {
            let Some(data) = tensors.remove(name) else { return Ok(None) };
            data.try_into_vec::<f32>().map(Some).map_err(|e| format!("{name}: {e:?}"))
        };
        for (block, counter) in self.steps.iter_mut().enumerate() {
            let Some(step) = values(&format!("{block}/step"))?.filter(|s| s.len() == 2) else {
                return Err(format!("{block}/step is missing"));
            };
            *counter = ((step[0] as u64) << 20) | step[1] as u64;
        }
        let expected = self.shape.iter().product::<usize>();
        match &mut self.rows {
            Storage::Ram(rows) => {
                for block in 0..self.schedule.depth {
                    for (slot, name) in SLOTS.into_iter().enumerate() {
                        let buffer = values(&format!("{block}/{name}"))?.unwrap_or_default();
                        if !(buffer.len() == expected || buffer.is_empty() && slot > 0) {
                            return Err(format!("{block}/{name} has {} values, expected {expected}", buffer.len()));
                        }
                        rows.set_buffer(block, slot, buffer);
                    }
                }
            }
            Storage::Mapped(rows) => {
                let places = values("places")?.filter(|places| places.len() == self.shape[0]);
                let Some(places) = places else { return Err("places of the bank's rows are missing".into()) };
                rows.set_places(places.into_iter().map(|place| place != 0.0).collect());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kinsight_model::parameters::normal_values;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::optim::OptimizerKind;

    const SCHEDULE: PromptSchedule = PromptSchedule { count: 2, depth: 3, step: 0 };

    fn start(block: usize) -> Vec<f32> {
        normal_values(&mut ChaCha8Rng::seed_from_u64(block as u64), 5 * 2 * 4, 1.0)
    }

    /// One step on the rows of `classes`, as a function of `step` alone.
    fn step(bank: &mut PromptBank, classes: &[usize], step: u64, config: &OptimizerConfig) {
        let device = Device::flex();
        let lent = bank.lend(classes, &device);
        let loss = lent
            .tables
            .iter()
            .map(|table| {
                let table = table.val();
                (table.clone() * table.clone() * table).sum()
            })
            .reduce(|a, b| a + b)
            .unwrap();
        let mut gradients = loss.mul_scalar(1.0 + step as f64).backward();
        bank.take_back(classes, &lent, &mut gradients, config, 0.01);
    }

    fn contents(bank: &PromptBank) -> Vec<Vec<f32>> {
        let places = (0..3).flat_map(|block| (0..3).map(move |slot| (block, slot)));
        places.map(|(block, slot)| bank.rows().read(block, slot, &[0, 1, 2, 3, 4])).collect()
    }

    const BATCHES: [&[usize]; 6] = [&[0, 3], &[3, 1], &[4, 0], &[0, 3], &[2, 4], &[1, 0]];

    #[test]
    fn a_file_trains_as_memory_does_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        for kind in [OptimizerKind::Sgd, OptimizerKind::Adam, OptimizerKind::AdamW] {
            let config = OptimizerConfig { kind, ..OptimizerConfig::default() };
            let mut ram = PromptBank::new(5, 4, SCHEDULE, start).unwrap();
            let path = folder.path().join("bank.bin");
            let mut disk = PromptBank::create(&path, 5, 4, SCHEDULE, config.moments(), start).unwrap();
            for (i, classes) in BATCHES.iter().enumerate() {
                step(&mut ram, classes, i as u64, &config);
                step(&mut disk, classes, i as u64, &config);
                if i == 2 {
                    disk.flush().unwrap();
                    disk.checkpointed();
                }
            }
            assert_eq!(contents(&ram), contents(&disk), "{kind:?}");
        }
    }

    #[test]
    fn whatever_happens_after_a_checkpoint_is_undone_by_going_back_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bank.bin");
        let config = OptimizerConfig::default();
        let mut unbroken = PromptBank::create(&path, 5, 4, SCHEDULE, 2, start).unwrap();
        for (i, classes) in BATCHES.iter().enumerate() {
            step(&mut unbroken, classes, i as u64, &config);
        }
        let expected = contents(&unbroken);
        drop(unbroken);
        // A checkpoint before step `at`, then `more` steps that are lost, for every pair of moments.
        for at in 0..BATCHES.len() {
            for more in 0..BATCHES.len() - at {
                let mut bank = PromptBank::create(&path, 5, 4, SCHEDULE, 2, start).unwrap();
                for (i, classes) in BATCHES[..at].iter().enumerate() {
                    step(&mut bank, classes, i as u64, &config);
                    if i % 2 == 0 {
                        bank.checkpointed(); // an earlier checkpoint, so that places have moved before
                    }
                }
                let checkpoint = bank.to_tensors();
                bank.checkpointed();
                for (i, classes) in BATCHES[at..at + more].iter().enumerate() {
                    step(&mut bank, classes, (at + i) as u64, &config);
                }
                drop(bank); // killed
                let mut bank = PromptBank::open(&path, 5, 4, SCHEDULE, 2).unwrap();
                bank.restore(checkpoint).unwrap();
                for (i, classes) in BATCHES.iter().enumerate().skip(at) {
                    step(&mut bank, classes, i as u64, &config);
                }
                assert_eq!(contents(&bank), expected, "checkpoint before step {at}, {more} steps lost");
            }
        }
    }

    #[test]
    fn a_bank_that_no_memory_holds_is_an_error() {
        let schedule = PromptSchedule { count: 1 << 16, depth: 64, step: 0 };
        let error = PromptBank::new(1 << 40, 1 << 12, schedule, start).unwrap_err();
        assert!(error.hint().unwrap().contains("--bank disk"), "{error}");
    }

    #[test]
    fn a_file_of_another_shape_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bank.bin");
        let bank = PromptBank::create(&path, 5, 4, SCHEDULE, 2, start).unwrap();
        let cost = PromptBank::cost(5, 4, SCHEDULE, 2, BankStorage::Disk);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), cost.file_bytes);
        drop(bank);
        assert!(PromptBank::open(&path, 6, 4, SCHEDULE, 2).unwrap_err().to_string().contains("bank.bin"));
        std::fs::write(&path, b"short").unwrap();
        assert!(PromptBank::open(&path, 5, 4, SCHEDULE, 2).is_err());
    }
}
