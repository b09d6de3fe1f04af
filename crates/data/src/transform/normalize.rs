//! The last step of both transforms: 8-bit interleaved samples to normalized channel-first floats.

use std::ops::Range;

use crate::error::DataError;
use crate::preprocess::Preprocess;

/// `(sample / 255 - mean) / std`, tabulated for the 256 samples of each channel: the same numbers as the two-step
/// computation at the cost of one load.
#[derive(Debug, Clone)]
pub(super) struct Normalize {
    table: [[f32; 256]; 3],
    side: usize,
}

impl Normalize {
    pub(super) fn new(preprocess: &Preprocess) -> Self {
        let mut table = [[0.0; 256]; 3];
        for ((row, mean), std) in table.iter_mut().zip(preprocess.mean).zip(preprocess.std) {
            for (sample, value) in row.iter_mut().enumerate() {
                *value = (sample as f32 / 255.0 - mean) / std;
            }
        }
        Self { table, side: preprocess.input_size_px as usize }
    }

    /// Checks that `out` has the length of `[3, side, side]`.
    pub(super) fn check_output(&self, out: &[f32]) -> Result<(), DataError> {
        let expected = 3 * self.side * self.side;
        if out.len() != expected {
            return Err(DataError::OutputLength { expected, found: out.len() });
        }
        Ok(())
    }

    /// Writes `samples`, `[height, width, 3]`, into `out`, `[3, side, side]`, mirrored left to right if `flip`. The image
    /// fills `columns` x `rows` of the output; the rest becomes black.
    pub(super) fn write(&self, samples: &[u8], columns: Range<usize>, rows: Range<usize>, flip: bool, out: &mut [f32]) {
        let side = self.side;
        if columns.is_empty() || rows.is_empty() {
            return;
        }
        if columns.len() < side || rows.len() < side {
            out.chunks_exact_mut(side * side).zip(&self.table).for_each(|(plane, table)| plane.fill(table[0]));
        }
        let (red, rest) = out.split_at_mut(side * side);
        let (green, blue) = rest.split_at_mut(side * side);
        for (y, row) in rows.zip(samples.chunks_exact(columns.len() * 3)) {
            let span = y * side + columns.start..y * side + columns.end;
            let outputs = red[span.clone()].iter_mut().zip(&mut green[span.clone()]).zip(&mut blue[span]);
            let pixels = row.chunks_exact(3);
            if flip {
                outputs.zip(pixels.rev()).for_each(|(out, pixel)| self.write_pixel(out, pixel));
            } else {
                outputs.zip(pixels).for_each(|(out, pixel)| self.write_pixel(out, pixel));
            }
        }
    }

    #[inline(always)]
    fn write_pixel(&self, ((red, green), blue): ((&mut f32, &mut f32), &mut f32), pixel: &[u8]) {
        *red = self.table[0][usize::from(pixel[0])];
        *green = self.table[1][usize::from(pixel[1])];
        *blue = self.table[2][usize::from(pixel[2])];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(side: u32) -> Normalize {
        let preprocess =
            Preprocess { mean: [0.0, 0.5, 0.0], std: [1.0, 0.5, 2.0], input_size_px: side, ..Preprocess::default() };
        Normalize::new(&preprocess)
    }

    #[test]
    fn channels_are_separated_and_normalized() {
        let mut out = vec![9.0; 12];
        plain(2).write(&[255, 255, 255, 0, 0, 0, 51, 51, 51, 0, 0, 0], 0..2, 0..2, false, &mut out);
        assert_eq!(out, [1.0, 0.0, 0.2, 0.0, 1.0, -1.0, -0.6, -1.0, 0.5, 0.0, 0.1, 0.0]);
    }

    #[test]
    fn flip_mirrors_columns_only() {
        let samples: Vec<u8> = (0..12).map(|i| i * 20).collect();
        let (mut straight, mut flipped) = (vec![0.0; 12], vec![0.0; 12]);
        plain(2).write(&samples, 0..2, 0..2, false, &mut straight);
        plain(2).write(&samples, 0..2, 0..2, true, &mut flipped);
        for row in 0..6 {
            assert_eq!(straight[row * 2], flipped[row * 2 + 1]);
            assert_eq!(straight[row * 2 + 1], flipped[row * 2]);
        }
    }

    #[test]
    fn uncovered_pixels_are_black() {
        let mut out = vec![9.0; 27];
        plain(3).write(&[255, 255, 255], 1..2, 1..2, false, &mut out);
        assert_eq!(out[..9], [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(out[9..18], [-1.0, -1.0, -1.0, -1.0, 1.0, -1.0, -1.0, -1.0, -1.0]);
    }
}
