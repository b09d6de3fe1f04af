//! The last step of both transforms: 8-bit interleaved samples to normalized channel-first floats.

use crate::error::DataError;
use crate::preprocess::Preprocess;

/// `(sample / 255 - mean) / std` for each of the 256 samples of each channel.
///
/// A table gives exactly the numbers of the two-step computation at the price of one load.
#[derive(Debug, Clone)]
pub(super) struct Normalize {
    table: [[f32; 256]; 3],
    side: usize,
}

/// Where a resized picture lies in the square output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placement {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
    /// Mirrors left and right.
    pub flip: bool,
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

    /// Refuses an output slice that is not `[3, side, side]`.
    pub(super) fn check_output(&self, out: &[f32]) -> Result<(), DataError> {
        let expected = 3 * self.side * self.side;
        if out.len() != expected {
            return Err(DataError::OutputLength { expected, found: out.len() });
        }
        Ok(())
    }

    /// Writes `samples`, `[height, width, 3]`, into `out`, `[3, side, side]`; what they do not cover is black.
    pub(super) fn write(&self, samples: &[u8], at: Placement, out: &mut [f32]) {
        let side = self.side;
        let covered = at.width == side && at.height == side;
        if samples.is_empty() || out.is_empty() {
            return;
        }
        for (plane, table) in out.chunks_exact_mut(side * side).zip(&self.table) {
            if !covered {
                plane.fill(table[0]);
            }
        }
        let (red, rest) = out.split_at_mut(side * side);
        let (green, blue) = rest.split_at_mut(side * side);
        for (y, row) in samples.chunks_exact(at.width * 3).take(at.height).enumerate() {
            let start = (at.top + y) * side + at.left;
            let span = start..start + at.width;
            let outputs = red[span.clone()].iter_mut().zip(&mut green[span.clone()]).zip(&mut blue[span]);
            let pixels = row.chunks_exact(3);
            if at.flip {
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
        let at = Placement { left: 0, top: 0, width: 2, height: 2, flip: false };
        plain(2).write(&[255, 255, 255, 0, 0, 0, 51, 51, 51, 0, 0, 0], at, &mut out);
        assert_eq!(out, [1.0, 0.0, 0.2, 0.0, 1.0, -1.0, -0.6, -1.0, 0.5, 0.0, 0.1, 0.0]);
    }

    #[test]
    fn flip_mirrors_columns_only() {
        let samples: Vec<u8> = (0..12).map(|i| i * 20).collect();
        let at = Placement { left: 0, top: 0, width: 2, height: 2, flip: false };
        let (mut straight, mut flipped) = (vec![0.0; 12], vec![0.0; 12]);
        plain(2).write(&samples, at, &mut straight);
        plain(2).write(&samples, Placement { flip: true, ..at }, &mut flipped);
        for row in 0..6 {
            assert_eq!(straight[row * 2], flipped[row * 2 + 1]);
            assert_eq!(straight[row * 2 + 1], flipped[row * 2]);
        }
    }

    #[test]
    fn what_is_not_covered_is_black() {
        let mut out = vec![9.0; 27];
        let at = Placement { left: 1, top: 1, width: 1, height: 1, flip: false };
        plain(3).write(&[255, 255, 255], at, &mut out);
        assert_eq!(out[..9], [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(out[9..18], [-1.0, -1.0, -1.0, -1.0, 1.0, -1.0, -1.0, -1.0, -1.0]);
    }
}
