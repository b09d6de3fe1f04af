//! An explanation as a picture: both pictures side by side, what answers to what drawn on them.

use kinsight_data::thumbnail::thumbnail;
use kinsight_data::{DecodeLimits, RgbImage, decode_bytes};
use tiny_skia::{
    Color, FilterQuality, Paint, PathBuilder, Pixmap, PixmapPaint, PremultipliedColorU8, Rect, Stroke, Transform,
};

use super::{Explanation, Side};

/// Side of the square that shows one picture, in pixels.
const PANEL_PX: u32 = 448;
/// Space between and around panels, in pixels.
const GAP_PX: u32 = 32;

/// A picture that could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw the explanation: {0}")]
pub struct DrawError(String);

/// The matching parts, the evidence and the attention as three rows of one PNG.
///
/// # Errors
/// [`DrawError`] if a picture cannot be scaled or encoded.
pub fn draw_png(explanation: &Explanation, pictures: [&RgbImage; 2]) -> Result<Vec<u8>, DrawError> {
    let mut canvas = Canvas::new(3)?;
    for row in 0..3 {
        canvas.pictures(row, pictures)?;
    }
    canvas.pairs(0, explanation);
    for (i, side) in [&explanation.first, &explanation.second].into_iter().enumerate() {
        canvas.heat(1, i as u32, side, &side.evidence, explanation.grid);
        canvas.heat(2, i as u32, side, &side.attention, explanation.grid);
    }
    canvas.png()
}

/// One row: the pairs of patches that answer to each other.
pub(super) fn draw_pairs_png(explanation: &Explanation, pictures: [&RgbImage; 2]) -> Result<Vec<u8>, DrawError> {
    let mut canvas = Canvas::new(1)?;
    canvas.pictures(0, pictures)?;
    canvas.pairs(0, explanation);
    canvas.png()
}

/// One row: both pictures colored by the `values` of their patches.
pub(super) fn draw_heat_png(
    explanation: &Explanation,
    pictures: [&RgbImage; 2],
    values: impl Fn(&Side) -> Option<&Vec<f32>>,
) -> Result<Vec<u8>, DrawError> {
    let mut canvas = Canvas::new(1)?;
    canvas.pictures(0, pictures)?;
    for (i, side) in [&explanation.first, &explanation.second].into_iter().enumerate() {
        if let Some(values) = values(side) {
            canvas.heat(0, i as u32, side, values, explanation.grid);
        }
    }
    canvas.png()
}

struct Canvas {
    pixels: Pixmap,
}

/// Where something lies on the canvas, in pixels.
#[derive(Clone, Copy)]
struct Area {
    left: f32,
    top: f32,
    width: f32,
    height: f32,
}

impl Canvas {
    fn new(rows: u32) -> Result<Self, DrawError> {
        let (width, height) = (2 * PANEL_PX + 3 * GAP_PX, rows * PANEL_PX + (rows + 1) * GAP_PX);
        let mut pixels = Pixmap::new(width, height).ok_or_else(|| DrawError("no canvas".into()))?;
        pixels.fill(Color::from_rgba8(22, 20, 19, 255));
        Ok(Self { pixels })
    }

    fn corner(row: u32, column: u32) -> (u32, u32) {
        (GAP_PX + column * (PANEL_PX + GAP_PX), GAP_PX + row * (PANEL_PX + GAP_PX))
    }

    fn pictures(&mut self, row: u32, pictures: [&RgbImage; 2]) -> Result<(), DrawError> {
        for (column, picture) in pictures.into_iter().enumerate() {
            let small = thumbnail(picture, PANEL_PX);
            let small = decode_bytes(&small, DecodeLimits::default()).map_err(|fault| DrawError(fault.to_string()))?;
            let mut image =
                Pixmap::new(small.width(), small.height()).ok_or_else(|| DrawError("no room for an image".into()))?;
            for (target, rgb) in image.pixels_mut().iter_mut().zip(small.pixels().chunks_exact(3)) {
                *target = opaque(rgb[0], rgb[1], rgb[2]);
            }
            // Small images are enlarged: a panel shows as much of each as of a photograph.
            let area = Self::placed(row, column as u32, small.width(), small.height());
            let scale = area.width / small.width() as f32;
            let paint = PixmapPaint { quality: FilterQuality::Bilinear, ..PixmapPaint::default() };
            let place = Transform::from_row(scale, 0.0, 0.0, scale, area.left, area.top);
            self.pixels.draw_pixmap(0, 0, image.as_ref(), &paint, place, None);
        }
        Ok(())
    }

    /// Where the whole of a picture lies: as [`Self::pictures`] puts it.
    fn shown(row: u32, column: u32, side: &Side) -> Area {
        Self::placed(row, column, side.width, side.height)
    }

    /// Where an image of these sides lies: in the middle of its panel, as large as fits.
    fn placed(row: u32, column: u32, width: u32, height: u32) -> Area {
        let scale = PANEL_PX as f32 / width.max(height) as f32;
        let size = |length: u32| (length as f32 * scale).round().max(1.0);
        let (width, height) = (size(width), size(height));
        let (left, top) = Self::corner(row, column);
        let center = |start: u32, length: f32| start as f32 + ((PANEL_PX as f32 - length) / 2.0).floor();
        Area { left: center(left, width), top: center(top, height), width, height }
    }

    /// Where the square that the model sees lies.
    fn seen(row: u32, column: u32, side: &Side) -> Area {
        let whole = Self::shown(row, column, side);
        let view = side.view;
        Area {
            left: whole.left + view.left as f32 * whole.width,
            top: whole.top + view.top as f32 * whole.height,
            width: view.width as f32 * whole.width,
            height: view.height as f32 * whole.height,
        }
    }

    /// Colors a picture by `values`, the largest as the strongest; what the model does not see is dark.
    fn heat(&mut self, row: u32, column: u32, side: &Side, values: &[f32], grid: usize) {
        if grid == 0 || values.len() != grid * grid {
            return;
        }
        let largest = values.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        let (whole, seen) = (Self::shown(row, column, side), Self::seen(row, column, side));
        let stride = self.pixels.width() as usize;
        let target = self.pixels.pixels_mut();
        for y in whole.top as usize..(whole.top + whole.height) as usize {
            for x in whole.left as usize..(whole.left + whole.width) as usize {
                let u = (x as f32 + 0.5 - seen.left) / seen.width * grid as f32 - 0.5;
                let v = (y as f32 + 0.5 - seen.top) / seen.height * grid as f32 - 0.5;
                let share = (sampled(values, grid, u, v) / largest).clamp(0.0, 1.0);
                let pixel = &mut target[y * stride + x];
                *pixel = heated(*pixel, share);
            }
        }
    }

    /// Connects the patches of each pair.
    fn pairs(&mut self, row: u32, explanation: &Explanation) {
        let largest = explanation.pairs.iter().map(|pair| pair.share).fold(f32::MIN_POSITIVE, f32::max);
        let areas = [Self::seen(row, 0, &explanation.first), Self::seen(row, 1, &explanation.second)];
        let grid = explanation.grid.max(1);
        for (rank, pair) in explanation.pairs.iter().enumerate().rev() {
            let strength = (pair.share / largest).clamp(0.3, 1.0);
            let (red, green, blue) = HUES[rank % HUES.len()];
            let mut paint = Paint { anti_alias: true, ..Paint::default() };
            let mut path = PathBuilder::new();
            let mut middles = [(0.0, 0.0); 2];
            for (i, patch) in [pair.first, pair.second].into_iter().enumerate() {
                let (width, height) = (areas[i].width / grid as f32, areas[i].height / grid as f32);
                let left = areas[i].left + (patch % grid) as f32 * width;
                let top = areas[i].top + (patch / grid) as f32 * height;
                if let Some(rect) = Rect::from_xywh(left, top, width, height) {
                    paint.set_color_rgba8(red, green, blue, (70.0 * strength) as u8);
                    self.pixels.fill_rect(rect, &paint, Transform::identity(), None);
                    path.push_rect(rect);
                }
                middles[i] = (left + width / 2.0, top + height / 2.0);
            }
            let [(x0, y0), (x1, y1)] = middles;
            let bend = (x1 - x0) * 0.4;
            path.move_to(x0, y0);
            path.cubic_to(x0 + bend, y0, x1 - bend, y1, x1, y1);
            if let Some(path) = path.finish() {
                paint.set_color_rgba8(red, green, blue, (255.0 * strength) as u8);
                let stroke = Stroke { width: 1.2 + 1.8 * strength, ..Stroke::default() };
                self.pixels.stroke_path(&path, &paint, &stroke, Transform::identity(), None);
            }
        }
    }

    fn png(self) -> Result<Vec<u8>, DrawError> {
        self.pixels.encode_png().map_err(|error| DrawError(error.to_string()))
    }
}

/// Colors that can be told apart on any picture.
const HUES: [(u8, u8, u8); 8] = [
    (255, 176, 59),
    (64, 214, 176),
    (255, 107, 107),
    (116, 185, 255),
    (201, 141, 255),
    (171, 235, 94),
    (255, 143, 214),
    (255, 224, 102),
];

fn opaque(red: u8, green: u8, blue: u8) -> PremultipliedColorU8 {
    PremultipliedColorU8::from_rgba(red, green, blue, 255).unwrap_or(PremultipliedColorU8::TRANSPARENT)
}

/// The value at a place between patches; outside of them nothing.
fn sampled(values: &[f32], grid: usize, u: f32, v: f32) -> f32 {
    if u < -0.5 || v < -0.5 || u > grid as f32 - 0.5 || v > grid as f32 - 0.5 {
        return 0.0;
    }
    let clamp = |at: f32| at.clamp(0.0, (grid - 1) as f32);
    let (u, v) = (clamp(u), clamp(v));
    let (x0, y0) = (u.floor() as usize, v.floor() as usize);
    let (x1, y1) = ((x0 + 1).min(grid - 1), (y0 + 1).min(grid - 1));
    let (right, down) = (u - x0 as f32, v - y0 as f32);
    let at = |x: usize, y: usize| values[y * grid + x];
    let upper = at(x0, y0) * (1.0 - right) + at(x1, y0) * right;
    let lower = at(x0, y1) * (1.0 - right) + at(x1, y1) * right;
    upper * (1.0 - down) + lower * down
}

/// A pixel darkened where `share` is small, and colored from amber to red where it is large.
fn heated(pixel: PremultipliedColorU8, share: f32) -> PremultipliedColorU8 {
    let light = 0.42 + 0.58 * share;
    let alpha = 0.6 * share.powf(0.9);
    let heat = [250.0 - 20.0 * share, 196.0 - 150.0 * share, 70.0 - 34.0 * share];
    let mix = |value: u8, heat: f32| (f32::from(value) * light * (1.0 - alpha) + heat * alpha).round() as u8;
    opaque(mix(pixel.red(), heat[0]), mix(pixel.green(), heat[1]), mix(pixel.blue(), heat[2]))
}
