//! Lays a species' marks out on one traced wing, with the small deviations of one individual, and gives
//! the pigment of any point of it.

use super::color::Rgb;
use super::dice::Dice;
use super::marks::{Ink, Mark, Palette, SpotShape, Spots};
use super::noise;
use super::outline::Outline;
use super::scalar::{floor, length, smoothstep};
use super::species::WingDesign;

/// The discal cell, the long pane that the veins frame in the inner wing: its axis and half width across
/// the fan of veins, and how far out it ends.
const DISCAL_AXIS: f32 = 0.4375;
const DISCAL_HALF: f32 = 0.1875;
const DISCAL_END: f32 = 0.56;

/// A pattern on one traced wing.
pub(super) struct Pattern<'a> {
    outline: &'a Outline,
    ground: [Rgb; 2],
    blend: [f32; 2],
    marks: Vec<([f32; 2], Laid)>,
    /// Wing units a pixel: edges are softened over it.
    pixel: f32,
    seed: u32,
}

/// A mark with its colors looked up and its centers placed.
enum Laid {
    Mark(Mark, Rgb, Rgb),
    Eyes(Vec<[f32; 2]>, f32, Vec<(f32, Rgb)>),
    Patch { center: [f32; 2], axis: [f32; 2], size: [f32; 2], soft: f32, ink: Rgb },
}

impl Laid {
    /// The `rho` between which it can leave a trace, so that most marks cost one comparison at most points.
    fn reach(&self, outline: &Outline, pixel: f32) -> [f32; 2] {
        let shortest = outline.shortest_reach();
        let around = |centers: &[[f32; 2]], radius: f32| {
            let rho = |c: &[f32; 2]| length(c[0], c[1]);
            let (near, far) = centers.iter().map(rho).fold((f32::MAX, 0.0_f32), |(a, b), r| (a.min(r), b.max(r)));
            [(near - radius) / outline.longest_reach() - 0.02, (far + radius) / shortest + 0.02]
        };
        match self {
            Laid::Eyes(centers, radius, _) => around(centers, radius + pixel),
            Laid::Patch { center, size, soft, .. } => {
                around(&[*center], size[0].max(size[1]) * (1.0 + soft.max(pixel) / size[0].min(size[1])))
            }
            Laid::Mark(mark, ..) => {
                let (inner, outer, soft) = match mark {
                    Mark::Band(band) => {
                        let rim = band.rim.map_or(0.0, |(_, width)| width / shortest);
                        let slack = 0.5 * band.width + band.jag.abs() + band.arch.abs() + 0.6 * band.slope.abs() + rim;
                        (band.rho - slack, band.rho + slack, band.soft)
                    }
                    Mark::Border { width, tip, arch, soft, .. } => {
                        (1.0 - (width + tip + arch.abs() * width.max(0.03)) / shortest, f32::MAX, *soft)
                    }
                    Mark::Spots(Spots { rho, slope, size, stretch, .. }) => {
                        // Cells widen outwards, so no spot is longer than half a cell at the margin.
                        let slack = 0.5 * slope.abs() + 0.6 * size * outline.cell_angle() * stretch * 1.2;
                        (rho - slack, rho + slack, 0.0)
                    }
                    Mark::Bars { from, to, .. } => (*from - 0.1, *to + 0.1, 0.0),
                    Mark::Rays { from, to, .. } | Mark::Stripes { from, to, .. } => (*from, *to, 0.0),
                    Mark::Dusting { rho, spread, .. } => (rho - 2.0 * spread, rho + 2.0 * spread, 0.0),
                    Mark::Fringe { width, .. } => (1.0 - width / shortest, f32::MAX, 0.0),
                    Mark::Glass { to, .. } => (0.0, to + 0.1, 0.0),
                    Mark::Veins { .. } | Mark::Eyes { .. } | Mark::Patch { .. } => (0.0, f32::MAX, 0.0),
                };
                let soft = soft.max(pixel) / shortest;
                [inner - soft, outer + soft]
            }
        }
    }
}

/// A point of the wing in every coordinate that marks use.
struct Point {
    x: f32,
    y: f32,
    phi: f32,
    rho: f32,
    reach: f32,
    /// Cell number and place within the cell, 0 to 1.
    cell: i32,
    within: f32,
    /// Slow noise over the wing, -1 to 1.
    mottle: f32,
    /// Place across the fan of veins, 0 to 1.
    fan: f32,
    /// Width of the cell here.
    cell_width: f32,
}

/// Pigment and opacity of a point of a wing.
pub(super) struct Scale {
    pub color: Rgb,
    pub opacity: f32,
    /// Place within the cell, -0.5 to 0.5: the membrane bulges between veins.
    pub across: f32,
    pub rho: f32,
}

impl Scale {
    /// Covers it with pigment, which makes glass opaque again.
    fn lay_over(&mut self, ink: Rgb, cover: f32) {
        if cover > 0.0 {
            self.color = self.color.mix(ink, cover);
            self.opacity = self.opacity.max(cover);
        }
    }
}

impl<'a> Pattern<'a> {
    /// Lays `marks` out on `outline`, each a little off its place as `dice` says.
    pub fn new(outline: &'a Outline, design: &WingDesign, palette: &Palette, dice: &mut Dice, pixel: f32) -> Self {
        let seed = dice.bits();
        let marks = design
            .marks
            .iter()
            .map(|mark| {
                let laid = lay(mark.clone(), outline, palette, dice);
                (laid.reach(outline, pixel), laid)
            })
            .collect();
        let ground = design.ground.map(|ink| palette.get(ink));
        Self { outline, ground, blend: design.blend, marks, pixel, seed }
    }

    /// The scale at a point of the wing plane.
    pub fn at(&self, x: f32, y: f32) -> Scale {
        let outline = self.outline;
        let phi = outline.phi(x, y);
        let reach = outline.reach(phi);
        let radius = length(x, y);
        let mottle = noise::value(self.seed, x * 7.0, y * 7.0);
        // Rows of scales run along the rays; under the lens they are a fine streaked grain.
        let grain = noise::value(self.seed ^ 0x51, phi * 130.0, radius * 26.0);
        // No edge of a pattern is a drawn line: scales of both colors mix along it.
        let rho = radius / reach + 0.010 * mottle + 0.006 * grain;
        // Veins leave the discal cell side by side and spread, rather than meet at the hinge.
        let fan = DISCAL_AXIS + (phi - DISCAL_AXIS) * (1.0 + 0.8 * (1.0 - rho).max(0.0));
        let along = fan * outline.cells;
        let cell = floor(along).clamp(0.0, outline.cells - 1.0);
        let outside = !(0.0..=1.0).contains(&fan);
        let point = Point {
            x,
            y,
            phi,
            rho,
            reach,
            cell: cell as i32,
            within: if outside { 0.5 } else { along - cell },
            mottle,
            fan,
            cell_width: outline.cell_angle() * radius,
        };
        let blend = smoothstep(self.blend[0], self.blend[1], rho + 0.05 * mottle);
        let mut scale =
            Scale { color: self.ground[0].mix(self.ground[1], blend), opacity: 1.0, across: point.within - 0.5, rho };
        for ([inner, outer], mark) in &self.marks {
            if rho >= *inner && rho <= *outer {
                self.paint(mark, &point, &mut scale);
            }
        }
        scale.color = scale.color * (1.0 + 0.10 * grain + 0.07 * mottle);
        scale
    }

    fn paint(&self, laid: &Laid, p: &Point, scale: &mut Scale) {
        match laid {
            Laid::Mark(mark, ink, second) => self.paint_mark(mark, *ink, *second, p, scale),
            Laid::Eyes(centers, radius, rings) => {
                for &[cx, cy] in centers {
                    let distance = length(p.x - cx, p.y - cy);
                    if distance > radius + self.pixel {
                        continue;
                    }
                    for &(share, ink) in rings {
                        let cover = self.edge(share * radius - distance, 0.0);
                        scale.lay_over(ink, cover);
                    }
                }
            }
            Laid::Patch { center, axis, size, soft, ink } => {
                let (dx, dy) = (p.x - center[0], p.y - center[1]);
                let out = (dx * axis[0] + dy * axis[1]) / size[0];
                let side = (dy * axis[0] - dx * axis[1]) / size[1];
                let cover = self.edge((1.0 - length(out, side)) * size[0].min(size[1]), *soft);
                scale.lay_over(*ink, cover);
            }
        }
    }

    fn paint_mark(&self, mark: &Mark, ink: Rgb, second: Rgb, p: &Point, scale: &mut Scale) {
        let arched = 4.0 * (p.within - 0.5) * (p.within - 0.5);
        let cover = match mark {
            Mark::Band(band) => {
                let jag = band.jag * noise::at(self.seed ^ 0xB4, p.cell, (band.rho * 100.0) as i32);
                let middle = band.rho + band.slope * (p.phi - 0.5) + band.arch * arched + jag;
                let across = (0.5 * band.width - (p.rho - middle).abs()) * p.reach;
                let along = (p.phi - band.span[0]).min(band.span[1] - p.phi)
                    * self.outline.cell_angle()
                    * self.outline.cells
                    * p.rho;
                let inside = across.min(along);
                if let Some((_, width)) = band.rim {
                    scale.color = scale.color.mix(second, self.edge(inside + width, band.soft));
                }
                self.edge(inside, band.soft)
            }
            &Mark::Border { width, tip, arch, soft, .. } => {
                let near = (1.0 - p.phi.clamp(0.0, 1.0)).powi(2);
                let depth = width + tip * near + arch * (arched - 0.3) * width.max(0.03);
                self.edge(p.rho * p.reach - (p.reach - depth), soft)
            }
            &Mark::Spots(Spots { rho, slope, size, stretch, shape, cells, .. }) => {
                if p.cell < 0 || cells >> p.cell & 1 == 0 {
                    return;
                }
                let middle = rho + slope * ((p.cell as f32 + 0.5) / self.outline.cells - 0.5);
                let half = 0.5 * self.outline.cell_angle() * middle * p.reach;
                let vary = 1.0 + 0.12 * noise::at(self.seed ^ 0x59, p.cell, (rho * 100.0) as i32);
                let radius = size * half * vary;
                let side = (p.within - 0.5) * 2.0 * half / radius;
                let out = (p.rho - middle) * p.reach / (radius * stretch);
                let inside = match shape {
                    SpotShape::Round => 1.0 - length(side, out),
                    SpotShape::Crescent => (1.0 - length(side, out)).min(length(side, out + 0.75) - 0.85),
                    SpotShape::Arrow => (1.0 - side.abs()).min(0.5 - (out - side.abs() + 0.3).abs()),
                    SpotShape::Bar => (1.0 - side.abs()).min(0.4 - out.abs()),
                };
                self.edge(inside * radius * stretch.min(1.0), 0.0)
            }
            &Mark::Bars { from, to, count, fill, depth, .. } => {
                let place = (p.rho - from) / (to - from) * count as f32;
                let local = place - floor(place) - 0.5;
                let step = (to - from) / count as f32 * p.reach;
                let across = (0.5 * fill - (local + 0.10 * p.mottle).abs()) * step;
                let along = (depth - p.phi) * self.outline.cell_angle() * self.outline.cells * p.rho;
                let ends = (p.rho - from).min(to - p.rho) * p.reach;
                self.edge(across.min(along).min(ends + 0.25 * step), 0.0)
            }
            &Mark::Stripes { angle, spacing, fill, taper, from, to, .. } => {
                let (sin, cos) = angle.sin_cos();
                let place = (p.x * cos + p.y * sin) / spacing;
                let local = place - floor(place) - 0.5;
                let thin = fill * (1.0 - taper * p.phi.clamp(0.0, 1.0));
                let inside = (0.5 * thin - (local + 0.08 * p.mottle).abs()) * spacing;
                self.edge(inside.min((p.rho - from).min(to - p.rho) * p.reach), 0.0)
            }
            &Mark::Rays { from, to, fill, .. } => {
                let t = ((p.rho - from) / (to - from)).clamp(0.0, 1.0);
                // Spindle-shaped: pointed at both ends.
                let half = 0.5 * fill * (4.0 * t * (1.0 - t)).sqrt();
                self.edge((half - (p.within - 0.5).abs()) * p.cell_width, 0.0)
            }
            &Mark::Veins { width, flare, .. } => {
                let aside = (p.fan - DISCAL_AXIS).abs();
                let fan = (0.5 - (p.within - 0.5).abs()) * p.cell_width;
                let end = DISCAL_END - 0.35 * aside;
                let apart = if aside > DISCAL_HALF + 0.02 || p.rho > end + 0.02 {
                    fan
                } else {
                    // Within the discal cell there are no veins, only its own three sides.
                    ((DISCAL_HALF - aside).abs() * self.outline.cells * p.cell_width).min((end - p.rho).abs() * p.reach)
                };
                let half = 0.5 * (width + flare * p.rho * p.rho);
                // Thinner than a pixel, a vein keeps its weight by being fainter.
                let faint = (2.0 * half / self.pixel).min(1.0);
                faint * self.edge(half.max(0.5 * self.pixel) - apart, 0.0)
            }
            &Mark::Dusting { rho, spread, density, .. } => {
                let away = (p.rho - rho) / (2.0 * spread);
                let here = density * (1.0 - away * away).max(0.0).powi(3);
                let grain = 0.5 + 0.5 * noise::value(self.seed ^ 0xD5, p.phi * 90.0, p.rho * 45.0);
                smoothstep(grain, grain + 0.4, 1.25 * here)
            }
            &Mark::Fringe { width, .. } => {
                let cover = self.edge(p.rho * p.reach - (p.reach - width), 0.0) * (width / self.pixel).min(1.0);
                let dark = smoothstep(0.28, 0.36, (p.within - 0.5).abs());
                scale.color = scale.color.mix(ink.mix(second, dark), cover);
                return;
            }
            &Mark::Glass { to, opacity } => {
                let edge = to + 0.03 * noise::value(self.seed, p.x * 9.0, p.y * 9.0);
                let clear = smoothstep(edge + 0.04, edge - 0.04, p.rho);
                scale.opacity *= 1.0 - clear * (1.0 - opacity);
                return;
            }
            Mark::Eyes { .. } | Mark::Patch { .. } => return,
        };
        scale.lay_over(ink, cover);
    }

    /// Coverage of a pixel `inside` an edge by that many wing units (negative outside).
    fn edge(&self, inside: f32, soft: f32) -> f32 {
        (inside / self.pixel.max(soft) + 0.5).clamp(0.0, 1.0)
    }
}

/// Resolves inks and applies the deviations of one individual.
fn lay(mut mark: Mark, outline: &Outline, palette: &Palette, dice: &mut Dice) -> Laid {
    let mut vary = |v: &mut f32, share: f32| *v *= 1.0 + dice.spread(share);
    let (ink, second) = match &mut mark {
        Mark::Band(band) => {
            vary(&mut band.width, 0.15);
            vary(&mut band.rho, 0.03);
            (band.ink, band.rim.map_or(band.ink, |(ink, _)| ink))
        }
        Mark::Border { width, tip, ink, .. } => {
            vary(width, 0.15);
            vary(tip, 0.1);
            (*ink, *ink)
        }
        Mark::Spots(Spots { rho, size, ink, .. }) => {
            vary(rho, 0.015);
            vary(size, 0.15);
            (*ink, *ink)
        }
        Mark::Eyes { rho, cells, radius, rings } => {
            vary(rho, 0.015);
            vary(radius, 0.12);
            let centers = (0..outline.cells as u32)
                .filter(|cell| *cells >> cell & 1 == 1)
                .map(|cell| outline.place((cell as f32 + 0.5) / outline.cells, *rho))
                .collect();
            return Laid::Eyes(centers, *radius, rings.iter().map(|&(share, ink)| (share, palette.get(ink))).collect());
        }
        Mark::Patch { phi, rho, size, soft, ink } => {
            size.iter_mut().for_each(|s| vary(s, 0.1));
            let center = outline.place(*phi, *rho);
            let norm = center[0].hypot(center[1]).max(1e-3);
            let axis = [center[0] / norm, center[1] / norm];
            return Laid::Patch { center, axis, size: *size, soft: *soft, ink: palette.get(*ink) };
        }
        Mark::Bars { fill, ink, .. } | Mark::Stripes { fill, ink, .. } | Mark::Rays { fill, ink, .. } => {
            vary(fill, 0.12);
            (*ink, *ink)
        }
        Mark::Veins { width, ink, .. } => {
            vary(width, 0.15);
            (*ink, *ink)
        }
        Mark::Dusting { density, ink, .. } => {
            vary(density, 0.25);
            (*ink, *ink)
        }
        Mark::Fringe { ink, other, .. } => (*ink, *other),
        Mark::Glass { to, .. } => {
            vary(to, 0.03);
            (Ink::Ground, Ink::Ground)
        }
    };
    Laid::Mark(mark, palette.get(ink), palette.get(second))
}
