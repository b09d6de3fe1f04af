//! A square picture in linear light, and the few operations that drawing needs: fill a path with a
//! shader, blur, enlarge. tiny-skia turns paths into coverage; color stays in floats, because light
//! adds up linearly and highlights may exceed white until the camera looks at them.

use tiny_skia::{FillRule, Mask, Path, Transform};

use super::color::Rgb;
use super::scalar::length;

/// A square picture in linear light.
pub(super) struct Canvas {
    pub size: usize,
    pub pixels: Vec<Rgb>,
}

impl Canvas {
    pub fn new(size: usize) -> Self {
        Self { size, pixels: vec![Rgb::BLACK; size * size] }
    }

    /// Sets each pixel from its place, both coordinates in `[0, 1]`.
    pub fn cover(&mut self, mut shade: impl FnMut(f32, f32) -> Rgb) {
        let step = 1.0 / self.size as f32;
        for (y, row) in self.pixels.chunks_exact_mut(self.size).enumerate() {
            for (x, pixel) in row.iter_mut().enumerate() {
                *pixel = shade((x as f32 + 0.5) * step, (y as f32 + 0.5) * step);
            }
        }
    }

    /// Fills `path`, brought to pixels by `to_px`, with the color and opacity that `shade` gives for
    /// points in the path's own coordinates. `mask` is scratch space.
    pub fn paint(
        &mut self,
        mask: &mut Mask,
        path: &Path,
        to_px: Transform,
        mut shade: impl FnMut(f32, f32) -> (Rgb, f32),
    ) {
        let Some(back) = to_px.invert() else { return };
        let Some([left, top, right, bottom]) = bounds(path, to_px, self.size) else { return };
        mask.clear();
        mask.fill_path(path, FillRule::Winding, true, to_px);
        for y in top..bottom {
            let row = y * self.size;
            for x in left..right {
                let cover = mask.data()[row + x];
                if cover == 0 {
                    continue;
                }
                let (px, py) = (x as f32 + 0.5, y as f32 + 0.5);
                let (u, v) = (back.sx * px + back.kx * py + back.tx, back.ky * px + back.sy * py + back.ty);
                let (color, opacity) = shade(u, v);
                let under = &mut self.pixels[row + x];
                *under = under.mix(color, opacity * f32::from(cover) * (1.0 / 255.0));
            }
        }
    }

    /// Changes the pixels under `cover`: `change` gets a pixel, its coverage and its place.
    pub fn under(&mut self, cover: &SoftMask, mut change: impl FnMut(Rgb, f32, f32, f32) -> Rgb) {
        let [left, top, right, bottom] = cover.area;
        for row in top..bottom {
            for column in left..right {
                let (x, y) = (column as f32 + 0.5, row as f32 + 0.5);
                let share = cover.at(x, y);
                if share > 0.0 {
                    let pixel = &mut self.pixels[row * self.size + column];
                    *pixel = change(*pixel, share, x, y);
                }
            }
        }
    }

    /// Adds a disc of light as an out-of-focus lens draws a highlight: flat, a little brighter at the rim.
    pub fn add_disc(&mut self, x: f32, y: f32, radius: f32, light: Rgb) {
        let clip = |v: f32| v.clamp(0.0, self.size as f32) as usize;
        let (left, right) = (clip(x - radius - 1.0), clip(x + radius + 2.0));
        for row in clip(y - radius - 1.0)..clip(y + radius + 2.0) {
            for column in left..right {
                let distance = length(column as f32 + 0.5 - x, row as f32 + 0.5 - y);
                let cover = (radius - distance + 0.5).clamp(0.0, 1.0);
                if cover > 0.0 {
                    let rim = 0.75 + 0.25 * (distance / radius).powi(4);
                    let pixel = &mut self.pixels[row * self.size + column];
                    *pixel = *pixel + light * (cover * rim);
                }
            }
        }
    }

    /// Approximates a Gaussian blur of standard deviation `sigma` pixels: a three-tap kernel for the
    /// softness of a lens, two box filters for anything wider.
    pub fn blur(&mut self, sigma: f32) {
        if sigma < 0.15 {
            return;
        }
        blur(&mut self.pixels, self.size, sigma);
    }

    /// The same picture, `size` pixels wide (bilinear).
    pub fn enlarged(&self, size: usize) -> Canvas {
        let mut large = Canvas::new(size);
        let scale = self.size as f32 / size as f32;
        let taps: Vec<(usize, usize, f32)> = (0..size)
            .map(|i| {
                let place = ((i as f32 + 0.5) * scale - 0.5).clamp(0.0, (self.size - 1) as f32);
                let low = place as usize;
                (low, (low + 1).min(self.size - 1), place - low as f32)
            })
            .collect();
        for (row, &(top, bottom, v)) in large.pixels.chunks_exact_mut(size).zip(&taps) {
            let (top, bottom) = (&self.pixels[top * self.size..], &self.pixels[bottom * self.size..]);
            for (pixel, &(left, right, u)) in row.iter_mut().zip(&taps) {
                *pixel = top[left].mix(top[right], u).mix(bottom[left].mix(bottom[right], u), v);
            }
        }
        large
    }
}

/// A blurred silhouette, held at half the picture's resolution: a shadow, or something out of focus in
/// front of the camera.
pub(super) struct SoftMask {
    size: usize,
    cover: Vec<f32>,
    /// The pixels of the picture that it can touch: left, top, right, bottom.
    area: [usize; 4],
}

impl SoftMask {
    /// The silhouettes of `paths` moved by `offset` pixels and blurred by `sigma` pixels.
    pub fn of(paths: &[(&Path, Transform)], picture: usize, offset: [f32; 2], sigma: f32) -> Self {
        let size = picture.div_ceil(2);
        let mut cover = vec![0.0; size * size];
        if let Some(mut mask) = Mask::new(size as u32, size as u32) {
            for (path, to_px) in paths {
                let half = to_px.post_translate(offset[0], offset[1]).post_scale(0.5, 0.5);
                mask.fill_path(path, FillRule::Winding, true, half);
            }
            for (value, &byte) in cover.iter_mut().zip(mask.data()) {
                *value = f32::from(byte) * (1.0 / 255.0);
            }
        }
        blur(&mut cover, size, 0.5 * sigma);
        // The blur spreads by at most its two box radii.
        let margin = 2.5 * sigma + 3.0;
        let clip = |v: f32| v.clamp(0.0, picture as f32) as usize;
        let mut area = [picture, picture, 0, 0];
        for (path, to_px) in paths {
            if let Some(box_) = path.bounds().transform(to_px.post_translate(offset[0], offset[1])) {
                area[0] = area[0].min(clip(box_.left() - margin));
                area[1] = area[1].min(clip(box_.top() - margin));
                area[2] = area[2].max(clip(box_.right() + margin + 1.0));
                area[3] = area[3].max(clip(box_.bottom() + margin + 1.0));
            }
        }
        Self { size, cover, area }
    }

    /// Coverage at a pixel of the picture, 0 to 1.
    pub fn at(&self, x: f32, y: f32) -> f32 {
        let limit = (self.size - 1) as f32;
        let (x, y) = ((0.5 * x - 0.5).clamp(0.0, limit), (0.5 * y - 0.5).clamp(0.0, limit));
        let (left, top) = (x as usize, y as usize);
        let (right, bottom) = ((left + 1).min(self.size - 1), (top + 1).min(self.size - 1));
        let (u, v) = (x - left as f32, y - top as f32);
        let row = |y: usize| self.cover[y * self.size + left] * (1.0 - u) + self.cover[y * self.size + right] * u;
        row(top) * (1.0 - v) + row(bottom) * v
    }
}

/// What can be blurred.
trait Linear: Copy {
    fn plus(self, other: Self) -> Self;
    fn scaled(self, by: f32) -> Self;
}

impl Linear for f32 {
    fn plus(self, other: Self) -> Self {
        self + other
    }
    fn scaled(self, by: f32) -> Self {
        self * by
    }
}

impl Linear for Rgb {
    fn plus(self, other: Self) -> Self {
        self + other
    }
    fn scaled(self, by: f32) -> Self {
        self * by
    }
}

/// Blurs a square of `size * size` values; see [`Canvas::blur`].
fn blur<T: Linear>(values: &mut [T], size: usize, sigma: f32) {
    if sigma < 0.8 {
        // A three-tap kernel (s/2, 1 - s, s/2) has variance s.
        let side = 0.5 * sigma * sigma;
        values.chunks_exact_mut(size).for_each(|row| soften(row, side));
        soften_columns(values, size, side);
        return;
    }
    // Two boxes of width 2 r + 1 have variance 2 ((2 r + 1)² - 1) / 12.
    let radius = ((0.5 * ((6.0 * sigma * sigma + 1.0).sqrt() - 1.0)).round() as usize).clamp(1, size / 2);
    let mut copy = values.to_vec();
    for _ in 0..2 {
        for (from, to) in values.chunks_exact(size).zip(copy.chunks_exact_mut(size)) {
            box_row(from, to, radius);
        }
        box_columns(&copy, values, size, radius);
    }
}

/// Three taps along a row, in place.
fn soften<T: Linear>(row: &mut [T], side: f32) {
    let Some(&(mut before)) = row.first() else { return };
    for i in 0..row.len() {
        let here = row[i];
        let after = *row.get(i + 1).unwrap_or(&here);
        row[i] = here.scaled(1.0 - 2.0 * side).plus(before.plus(after).scaled(side));
        before = here;
    }
}

/// Three taps down every column, in place, row by row.
fn soften_columns<T: Linear>(values: &mut [T], size: usize, side: f32) {
    let mut before = values[..size].to_vec();
    for y in 0..size {
        let (here, below) = values[y * size..].split_at_mut(size);
        for (x, (value, before)) in here.iter_mut().zip(&mut before).enumerate() {
            let middle = *value;
            let after = *below.get(x).unwrap_or(&middle);
            *value = middle.scaled(1.0 - 2.0 * side).plus(before.plus(after).scaled(side));
            *before = middle;
        }
    }
}

/// Running mean over `2 radius + 1` values of a row; the ends repeat.
fn box_row<T: Linear>(from: &[T], to: &mut [T], radius: usize) {
    let last = from.len() - 1;
    let share = 1.0 / (2 * radius + 1) as f32;
    let mut sum = from[0].scaled((radius + 1) as f32);
    for i in 1..=radius {
        sum = sum.plus(from[i.min(last)]);
    }
    for (i, value) in to.iter_mut().enumerate() {
        *value = sum.scaled(share);
        sum = sum.plus(from[(i + radius + 1).min(last)]).plus(from[i.saturating_sub(radius)].scaled(-1.0));
    }
}

/// [`box_row`] down every column, row by row.
fn box_columns<T: Linear>(from: &[T], to: &mut [T], size: usize, radius: usize) {
    let row = |y: usize| &from[y.min(size - 1) * size..][..size];
    let share = 1.0 / (2 * radius + 1) as f32;
    let mut sums: Vec<T> = row(0).iter().map(|value| value.scaled((radius + 1) as f32)).collect();
    for y in 1..=radius {
        sums.iter_mut().zip(row(y)).for_each(|(sum, value)| *sum = sum.plus(*value));
    }
    for (y, out) in to.chunks_exact_mut(size).enumerate() {
        let (enters, leaves) = (row(y + radius + 1), row(y.saturating_sub(radius)));
        for (((value, sum), enters), leaves) in out.iter_mut().zip(&mut sums).zip(enters).zip(leaves) {
            *value = sum.scaled(share);
            *sum = sum.plus(*enters).plus(leaves.scaled(-1.0));
        }
    }
}

/// The pixels that a path can touch: left, top, right, bottom; none if it lies outside.
fn bounds(path: &Path, to_px: Transform, size: usize) -> Option<[usize; 4]> {
    let area = path.bounds().transform(to_px)?;
    let clip = |v: f32| v.clamp(0.0, size as f32) as usize;
    let [left, top] = [clip(area.left() - 1.0), clip(area.top() - 1.0)];
    let [right, bottom] = [clip(area.right() + 2.0), clip(area.bottom() + 2.0)];
    (left < right && top < bottom).then_some([left, top, right, bottom])
}
