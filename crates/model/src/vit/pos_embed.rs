//! Resampling of a learned position embedding to another patch grid.
//!
//! The counterpart of timm's `resample_abs_pos_embed`: bicubic with antialiasing, corners not aligned. PyTorch's
//! antialiased bicubic uses the Keys kernel with a = -0.5 and widens it by the reduction factor when shrinking.

/// Resamples the patch part of a position embedding; the first `special` rows are kept.
///
/// # Shapes
/// `embedding` `[special + old², width]` row-major; the result is `[special + new², width]`.
pub fn resample_position_embedding(
    embedding: &[f32],
    width: usize,
    special: usize,
    old_grid: usize,
    new_grid: usize,
) -> Vec<f32> {
    if old_grid == new_grid {
        return embedding.to_vec();
    }
    let (kept, grid) = embedding.split_at(special * width);
    let taps = axis_taps(old_grid, new_grid);
    let columns: Vec<f32> =
        grid.chunks_exact(old_grid * width).flat_map(|row| weighted_sums(row, &taps, width)).collect(); // [old, new, width]
    let rows = weighted_sums(&columns, &taps, new_grid * width); // [new, new, width]
    [kept, &rows].concat()
}

/// For each output position the first input index and the weights from there on.
fn axis_taps(old: usize, new: usize) -> Vec<(usize, Vec<f32>)> {
    let scale = old as f64 / new as f64;
    let stretch = scale.max(1.0);
    let support = 2.0 * stretch;
    (0..new)
        .map(|i| {
            let center = scale * (i as f64 + 0.5);
            let first = ((center - support + 0.5).max(0.0)) as usize;
            let last = ((center + support + 0.5) as usize).min(old);
            let raw: Vec<f64> = (first..last).map(|j| keys_kernel((j as f64 - center + 0.5) / stretch)).collect();
            let total: f64 = raw.iter().sum();
            (first, raw.iter().map(|w| (w / total) as f32).collect())
        })
        .collect()
}

/// Keys' cubic convolution kernel with a = -0.5 ("Cubic convolution interpolation", 1981, equation 15).
fn keys_kernel(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        A * (((x - 5.0) * x + 8.0) * x - 4.0)
    } else {
        0.0
    }
}

/// Each output is the weighted sum of consecutive vectors of length `stride`.
fn weighted_sums(vectors: &[f32], taps: &[(usize, Vec<f32>)], stride: usize) -> Vec<f32> {
    let mut out = vec![0.0; taps.len() * stride];
    for (target, (first, weights)) in out.chunks_exact_mut(stride).zip(taps) {
        for (vector, weight) in vectors[first * stride..].chunks_exact(stride).zip(weights) {
            for (t, v) in target.iter_mut().zip(vector) {
                *t += weight * v;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_grid_stays_constant_and_special_rows_are_kept() {
        let mut embedding = vec![7.0, 8.0];
        embedding.extend(std::iter::repeat_n(0.25, 2 * 16));
        for new in [2, 3, 7] {
            let out = resample_position_embedding(&embedding, 2, 1, 4, new);
            assert_eq!(out.len(), 2 + 2 * new * new);
            assert_eq!(&out[..2], &[7.0, 8.0]);
            assert!(out[2..].iter().all(|v| (v - 0.25).abs() < 1e-6));
        }
    }
}
