//! Wing outlines. A wing is drawn in its own plane: the hinge at the origin, x away from the body, y
//! towards the tail, the forewing about one unit long. Its outer margin is a smooth radius over the
//! angle at the hinge, which also gives every point of the wing natural coordinates for its pattern:
//! how far along the margin (`phi`, 0 at the tip, 1 at the rear corner) and how far out (`rho`, 0 at
//! the hinge, 1 at the margin), so that bands and spots follow the shape of the wing.

use std::f32::consts::{PI, TAU};

use tiny_skia::{Path, PathBuilder};

use super::noise;
use super::scalar::{angle, length};

/// The parameters of a wing outline. Lengths in wing units, angles in radians, up (towards the head)
/// positive.
#[derive(Debug, Clone)]
pub(super) struct WingShape {
    /// Angle of the tip and of the rear corner.
    pub angles: [f32; 2],
    /// Radius of the margin at five even steps from tip to rear corner.
    pub margin: [f32; 5],
    /// How far the leading and the trailing edge bow outwards.
    pub bulge: [f32; 2],
    /// Passes of smoothing: 2 leaves a pointed tip, 40 a round wing.
    pub roundness: usize,
    /// Cells between veins.
    pub cells: usize,
    /// Waves of the margin, one a cell; positive where the veins stick out.
    pub scallop: f32,
    /// Irregular teeth, as of a comma butterfly.
    pub ragged: f32,
    pub tails: Vec<Tail>,
}

/// A tail of a hind wing.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    pub phi: f32,
    pub length: f32,
    pub width: f32,
    /// Extra half width of a spoon-shaped end.
    pub spoon: f32,
    /// Sideways bend over the whole length.
    pub bend: f32,
}

/// A missing piece of margin: an old butterfly, or one that met a bird.
#[derive(Debug, Clone)]
pub(super) struct Nick {
    pub phi: f32,
    pub depth: f32,
    pub width: f32,
}

/// A traced outline, ready to be filled and to give pattern coordinates.
pub(super) struct Outline {
    pub points: Vec<[f32; 2]>,
    tails: Vec<Vec<[f32; 2]>>,
    reach: [f32; Self::STEPS + 1],
    angles: [f32; 2],
    pub cells: f32,
}

impl Outline {
    const STEPS: usize = 48;
    const PER_CELL: usize = 6;
    const EDGE: usize = 16;

    pub fn trace(shape: &WingShape, nicks: &[Nick], seed: u32) -> Self {
        let [from, to] = shape.angles;
        let polar = |radius: f32, angle: f32| [radius * angle.cos(), -radius * angle.sin()];
        let tip = polar(shape.margin[0], from);
        let corner = polar(shape.margin[4], to);
        let steps = shape.cells * Self::PER_CELL;

        let mut points = bowed([0.0, 0.0], tip, shape.bulge[0], Self::EDGE);
        let first = points.len();
        for i in 0..=steps {
            let phi = i as f32 / steps as f32;
            points.push(polar(spline(&shape.margin, phi), from + (to - from) * phi));
        }
        let last = points.len();
        points.extend(bowed(corner, [0.0, 0.0], shape.bulge[1], Self::EDGE).into_iter().skip(1));
        smooth(&mut points, shape.roundness);

        let reach = reach_table(&points[first..last], shape.angles);
        let outline =
            Self { points: Vec::new(), tails: Vec::new(), reach, angles: shape.angles, cells: shape.cells as f32 };
        let tails = shape.tails.iter().map(|tail| outline.tail(tail)).collect();

        for point in &mut points[first..last] {
            let phi = outline.phi(point[0], point[1]);
            let along = phi * outline.cells;
            // Teeth fade out towards both corners, where the outline turns.
            let fade = (PI * phi.clamp(0.0, 1.0)).sin().sqrt();
            let tooth = noise::at(seed, along.round() as i32, 7) * shape.ragged;
            let wave = 0.5 * (TAU * along).cos();
            let mut stretch = 1.0 + fade * (shape.scallop * wave + tooth * (wave + 0.3).max(0.0));
            for nick in nicks {
                stretch -= nick.depth * (1.0 - (phi - nick.phi).abs() / nick.width).max(0.0);
            }
            point[0] *= stretch;
            point[1] *= stretch;
        }
        Self { points, tails, ..outline }
    }

    /// The outline as a path to fill.
    pub fn path(&self) -> Option<Path> {
        let mut builder = PathBuilder::new();
        for contour in std::iter::once(&self.points).chain(&self.tails) {
            for (i, &[x, y]) in contour.iter().enumerate() {
                if i == 0 { builder.move_to(x, y) } else { builder.line_to(x, y) }
            }
            builder.close();
        }
        builder.finish()
    }

    /// Place along the margin of the ray through (x, y); outside 0 to 1 beyond the corners.
    pub fn phi(&self, x: f32, y: f32) -> f32 {
        let [from, to] = self.angles;
        (from - angle(-y, x)) / (from - to)
    }

    /// Distance of the margin from the hinge at `phi`.
    pub fn reach(&self, phi: f32) -> f32 {
        let place = phi.clamp(0.0, 1.0) * Self::STEPS as f32;
        let step = (place as i32).min(Self::STEPS as i32 - 1);
        let (i, t) = (step as usize, place - step as f32);
        self.reach[i] + (self.reach[i + 1] - self.reach[i]) * t
    }

    /// The least and the greatest distance of the margin.
    pub fn shortest_reach(&self) -> f32 {
        self.reach.iter().copied().fold(f32::MAX, f32::min).max(0.1)
    }

    pub fn longest_reach(&self) -> f32 {
        self.reach.iter().copied().fold(0.1, f32::max)
    }

    /// Angle of one cell at the hinge, radians.
    pub fn cell_angle(&self) -> f32 {
        (self.angles[0] - self.angles[1]) / self.cells
    }

    /// The point of the wing plane at natural coordinates.
    pub fn place(&self, phi: f32, rho: f32) -> [f32; 2] {
        let angle = self.angles[0] + (self.angles[1] - self.angles[0]) * phi;
        let radius = rho * self.reach(phi);
        [radius * angle.cos(), -radius * angle.sin()]
    }

    fn tail(&self, tail: &Tail) -> Vec<[f32; 2]> {
        const STEPS: usize = 12;
        let root = self.place(tail.phi, 0.94);
        let norm = root[0].hypot(root[1]).max(1e-3);
        // Tails trail: between straight away from the hinge and straight back.
        let (dx, dy) = (0.75 * root[0] / norm, 0.75 * root[1] / norm + 0.5);
        let norm = length(dx, dy).max(1e-3);
        let (dx, dy) = (dx / norm, dy / norm);
        let side = |t: f32, sign: f32| {
            let flare = 0.5 * (1.0 - smooth_unit(t * 4.0));
            let spoon = tail.spoon * (-((t - 0.8) / 0.16).powi(2)).exp();
            let end = (1.0 - ((t - 0.86) / 0.14).max(0.0).powi(2)).max(0.0).sqrt();
            let half = sign * (tail.width * (1.0 + flare) + spoon) * end;
            let along = t * tail.length;
            let across = half + tail.bend * t * t;
            [root[0] + dx * along - dy * across, root[1] + dy * along + dx * across]
        };
        let up = (0..=STEPS).map(|i| side(i as f32 / STEPS as f32, 1.0));
        let down = (0..STEPS).rev().map(|i| side(i as f32 / STEPS as f32, -1.0));
        up.chain(down).collect()
    }
}

fn smooth_unit(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Points from `a` up to but excluding `b` on a parabola that bows to the left of the way by `bulge`
/// (the outside, for an outline that runs tip, margin, rear corner).
fn bowed(a: [f32; 2], b: [f32; 2], bulge: f32, steps: usize) -> Vec<[f32; 2]> {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    (0..steps)
        .map(|i| {
            let t = i as f32 / steps as f32;
            let bow = 4.0 * bulge * t * (1.0 - t);
            [a[0] + dx * t + dy * bow, a[1] + dy * t - dx * bow]
        })
        .collect()
}

/// Catmull-Rom through five values at even steps of `t` in `[0, 1]`.
fn spline(values: &[f32; 5], t: f32) -> f32 {
    let place = (t * 4.0).clamp(0.0, 4.0);
    let i = (place as usize).min(3);
    let t = place - i as f32;
    let (p1, p2) = (values[i], values[i + 1]);
    let p0 = if i == 0 { 2.0 * p1 - p2 } else { values[i - 1] };
    let p3 = if i == 3 { 2.0 * p2 - p1 } else { values[i + 2] };
    0.5 * (2.0 * p1
        + (p2 - p0) * t
        + (2.0 * p0 - 5.0 * p1 + 4.0 * p2 - p3) * t * t
        + (3.0 * (p1 - p2) + p3 - p0) * t * t * t)
}

/// Moves each point but the first (the hinge) towards the middle of its neighbors.
fn smooth(points: &mut [[f32; 2]], passes: usize) {
    let n = points.len();
    for _ in 0..passes {
        let mut before = points[0];
        for i in 1..n {
            let here = points[i];
            let after = points[(i + 1) % n];
            for axis in 0..2 {
                points[i][axis] = 0.5 * here[axis] + 0.25 * (before[axis] + after[axis]);
            }
            before = here;
        }
    }
}

/// Radius of the margin polyline at even steps of angle; the first and last radius continue outwards.
fn reach_table(margin: &[[f32; 2]], [from, to]: [f32; 2]) -> [f32; Outline::STEPS + 1] {
    let polar: Vec<(f32, f32)> =
        margin.iter().map(|&[x, y]| ((from - angle(-y, x)) / (from - to), length(x, y))).collect();
    let mut table = [0.0; Outline::STEPS + 1];
    let mut next = 0;
    for (step, radius) in table.iter_mut().enumerate() {
        let phi = step as f32 / Outline::STEPS as f32;
        while next < polar.len() && polar[next].0 < phi {
            next += 1;
        }
        *radius = match (next.checked_sub(1).and_then(|i| polar.get(i)), polar.get(next)) {
            (Some(&(p0, r0)), Some(&(p1, r1))) => r0 + (r1 - r0) * ((phi - p0) / (p1 - p0).max(1e-6)).clamp(0.0, 1.0),
            (None, Some(&(_, r))) | (Some(&(_, r)), None) => r,
            (None, None) => 1.0,
        };
    }
    table
}
