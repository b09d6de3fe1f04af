//! A backbone read from a checkpoint of any known layout.

use std::collections::BTreeSet;

use burn::tensor::Device;

use super::layout::Names;
use super::{ValuesAndShape, WeightFile};
use crate::error::ModelError;
use crate::parameters::ParameterSource;
use crate::vit::config::VitConfig;
use crate::vit::resample_position_embedding;

/// A backbone checkpoint as a source of parameters.
///
/// Names of other libraries are translated, queries, keys and values are put together where a file has them apart, the
/// classifier is ignored, a position embedding of another grid is resampled, and everything that does not fit is
/// collected and reported together by [`BackboneSource::finish`].
#[derive(Debug)]
pub struct BackboneSource<'a> {
    file: &'a WeightFile,
    names: Names,
    special_positions: usize,
    device: Device,
    used: BTreeSet<String>,
    problems: Vec<String>,
}

impl<'a> BackboneSource<'a> {
    /// Reads tensors of `file` for an architecture `config` onto `device`.
    pub fn new(file: &'a WeightFile, config: &VitConfig, device: &Device) -> Self {
        Self {
            file,
            names: file.names(),
            special_positions: config.special_positions(),
            device: device.clone(),
            used: BTreeSet::new(),
            problems: Vec::new(),
        }
    }

    /// Fails if any tensor was missing, unexpected, of another shape, or not finite.
    ///
    /// # Errors
    /// [`ModelError::Weights`] with one line a problem.
    pub fn finish(mut self) -> Result<(), ModelError> {
        let shapes = self.file.shapes();
        for (ours, theirs) in self.names.known() {
            if !self.used.contains(ours) {
                let shape = shapes.get(theirs).map(Vec::as_slice).unwrap_or_default();
                self.problems.push(format!("  unexpected {theirs} {shape:?}"));
            }
        }
        self.finish_partial()
    }

    /// As [`Self::finish`], but ignores tensors that were not asked for: a fine-tuning replaces some of them.
    ///
    /// # Errors
    /// [`ModelError::Weights`] with one line a problem.
    pub fn finish_partial(self) -> Result<(), ModelError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(ModelError::Weights { path: self.file.path().to_path_buf(), problems: self.problems })
    }

    /// The tensor `name`, put together from several where the file has it in parts.
    fn assembled(&mut self, name: &str, shape: &[usize]) -> Result<Option<ValuesAndShape>, ModelError> {
        if let Some(gate) = name.contains(".mlp.fc1.").then(|| name.replace(".mlp.fc1.", ".mlp.gate."))
            && self.names.in_file(&gate).is_some()
        {
            return self.stacked(&[gate, name.to_string()], shape);
        }
        if self.names.in_file(name).is_none() {
            if name.contains(".attn.qkv.") {
                return self.stacked(&["q", "k", "v"].map(|part| name.replace(".qkv.", &format!(".{part}."))), shape);
            }
            if let Some((part, kind)) = name.strip_prefix("attn_pool.").and_then(|rest| rest.split_once('.'))
                && let (true, Some((values, found))) =
                    (part == "q" || part == "kv", self.of_file(&format!("attn_pool.in_proj.{kind}"))?)
            {
                return Ok(third(values, found, part == "kv"));
            }
        }
        self.of_file(name)
    }

    /// The rows of `parts` one below the other. A bias that a file has for some parts alone is zero for the others:
    /// DINOv3 has none for its keys.
    fn stacked(&mut self, parts: &[String], shape: &[usize]) -> Result<Option<ValuesAndShape>, ModelError> {
        let found: Vec<_> = parts.iter().map(|part| self.of_file(part)).collect::<Result<_, _>>()?;
        let is_bias = shape.len() == 1;
        if found.iter().all(Option::is_none) || (!is_bias && found.iter().any(Option::is_none)) {
            return Ok(None);
        }
        let (mut rows, mut values, mut inner) = (0, Vec::new(), Vec::new());
        for part in found {
            let (part, part_shape) = part.unwrap_or_else(|| {
                let rows = shape[0] / parts.len();
                (vec![0.0; rows], vec![rows])
            });
            rows += part_shape.first().copied().unwrap_or_default();
            inner = part_shape.get(1..).unwrap_or_default().to_vec();
            values.extend(part);
        }
        inner.insert(0, rows);
        Ok(Some((values, inner)))
    }

    fn of_file(&mut self, name: &str) -> Result<Option<ValuesAndShape>, ModelError> {
        let Some(theirs) = self.names.in_file(name) else { return Ok(None) };
        self.used.insert(name.to_string());
        self.file.tensor(theirs)
    }

    fn resample_positions(&self, values: &[f32], found: &[usize], expected: &[usize]) -> Option<Vec<f32>> {
        let ([.., old, width], [1, new, expected_width]) = (found, expected) else { return None };
        let old_grid = perfect_square_root(old.checked_sub(self.special_positions)?)?;
        let new_grid = perfect_square_root(new.checked_sub(self.special_positions)?)?;
        (width == expected_width && values.len() == old * width)
            .then(|| resample_position_embedding(values, *width, self.special_positions, old_grid, new_grid))
    }
}

impl ParameterSource for BackboneSource<'_> {
    fn values(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        let placeholder = || vec![0.0; shape.iter().product()];
        let (values, found) = match self.assembled(name, shape) {
            Ok(Some(tensor)) => tensor,
            Ok(None) => {
                self.problems.push(format!("  missing {name}, expected shape {shape:?}"));
                return placeholder();
            }
            Err(error) => {
                self.problems.push(format!("  {error}"));
                return placeholder();
            }
        };
        if let Some(bad) = values.iter().position(|v| !v.is_finite()) {
            self.problems.push(format!("  {name} is not finite: {} at element {bad}", values[bad]));
        }
        if without_leading_ones(&found) == without_leading_ones(shape) {
            return values;
        }
        let resampled = if name == "pos_embed" { self.resample_positions(&values, &found, shape) } else { None };
        resampled.unwrap_or_else(|| {
            self.problems.push(format!("  {name}: expected shape {shape:?}, found {found:?}"));
            placeholder()
        })
    }

    fn device(&self) -> &Device {
        &self.device
    }
}

/// Queries, or keys and values, of a projection that holds all three.
fn third(values: Vec<f32>, mut shape: Vec<usize>, keys_and_values: bool) -> Option<ValuesAndShape> {
    let rows = *shape.first()? / 3;
    let cut = rows * shape[1..].iter().product::<usize>();
    let kept = if keys_and_values { values.get(cut..)? } else { values.get(..cut)? };
    shape[0] = if keys_and_values { 2 * rows } else { rows };
    Some((kept.to_vec(), shape))
}

/// Libraries differ in whether a token has the shape `[D]`, `[1, D]` or `[1, 1, D]`.
fn without_leading_ones(shape: &[usize]) -> &[usize] {
    let first = shape.iter().position(|size| *size != 1).unwrap_or(shape.len());
    &shape[first..]
}

fn perfect_square_root(n: usize) -> Option<usize> {
    let root = n.isqrt();
    (root * root == n).then_some(root)
}
