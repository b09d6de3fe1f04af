//! How a butterfly sits: where in the frame, how large, which way it heads, how far its wings are
//! open. A pose turns the plane of each wing into the plane of the picture.

use tiny_skia::Transform;

use super::dice::Dice;
use super::light::Vec3;
use super::scenery::Backdrop;

/// Where a wing hangs on the thorax: x from the midline, y towards the tail, wing units.
const FORE_HINGE: [f32; 2] = [0.035, -0.055];
const HIND_HINGE: [f32; 2] = [0.030, 0.0];

/// A wing's plane in the picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct WingPose {
    /// Wing plane to pixels.
    pub to_px: Transform,
    /// The upper side's normal, and the directions of the wing's x and y, in the camera's frame.
    pub normal: Vec3,
    pub outward: Vec3,
    pub tailward: Vec3,
    pub hind: bool,
}

/// A posed butterfly.
pub(super) struct Pose {
    /// From the back to the front: hindwings, then forewings.
    pub wings: [WingPose; 4],
    /// Body plane (x right, y towards the tail) to pixels, and the body's axes in the camera's frame.
    pub body_to_px: Transform,
    pub axes: [Vec3; 3],
    /// Pixels a wing unit.
    pub scale: f32,
    /// How far the wings stand above the ground, wing units, for the shadow.
    pub height: f32,
    /// Length of the antennae to either side, relative, and how far they spread.
    pub antennae: [[f32; 2]; 2],
}

impl Pose {
    pub fn draw(dice: &mut Dice, size: usize, backdrop: Backdrop) -> Self {
        let pinned = backdrop == Backdrop::Paper;
        let heading = if dice.chance(0.18) { dice.range(-3.1, 3.1) } else { dice.spread(1.2) };
        let freedom = if pinned { 0.15 } else { 1.0 };
        let (pitch, roll) = (dice.spread(0.55) * freedom, dice.spread(0.50) * freedom);
        let axes = axes(heading * if pinned { 0.2 } else { 1.0 }, pitch, roll);

        let lift = if pinned { 0.04 } else { dice.range(0.02, 0.80) };
        let openings = [lift + dice.spread(0.16) * freedom, lift + dice.spread(0.16) * freedom];
        let sweep = if pinned { -0.10 } else { dice.spread(0.22) };
        let sweeps: [f32; 4] = std::array::from_fn(|_| dice.spread(0.06));

        let span = dice.range(0.62, 1.06);
        let scale = 0.62 * span * size as f32;
        let center = [0.5, 0.5].map(|middle| (middle + dice.spread(0.13) * (1.3 - 0.6 * span)) * size as f32);
        // The wings reach further back than forward, so the thorax sits a little ahead of the center.
        let ahead = 0.10 * scale;
        let origin = [center[0] - axes[1][0] * ahead, center[1] - axes[1][1] * ahead];

        let wing = |hind: bool, side: f32, opening: f32, sweep: f32| {
            let hinge = if hind { HIND_HINGE } else { FORE_HINGE };
            let (sin, cos) = opening.clamp(-0.15, 1.0).sin_cos();
            let outward = turn(axes, [side * cos, 0.0, sin]);
            let tailward = axes[1];
            let (sweep_sin, sweep_cos) = sweep.sin_cos();
            let along = |x: f32, y: f32, axis: usize| {
                let (x, y) = (x * sweep_cos - y * sweep_sin, x * sweep_sin + y * sweep_cos);
                origin[axis]
                    + scale * (axes[0][axis] * side * hinge[0] + tailward[axis] * (hinge[1] + y) + outward[axis] * x)
            };
            WingPose { to_px: affine(along), normal: turn(axes, [-side * sin, 0.0, cos]), outward, tailward, hind }
        };
        let hind_sweep = 0.6 * sweep;
        let wings = [
            wing(true, -1.0, 0.85 * openings[0], hind_sweep + sweeps[0]),
            wing(true, 1.0, 0.85 * openings[1], hind_sweep + sweeps[1]),
            wing(false, -1.0, openings[0], sweep + sweeps[2]),
            wing(false, 1.0, openings[1], sweep + sweeps[3]),
        ];
        let body_to_px = affine(|x, y, axis| origin[axis] + scale * (axes[0][axis] * x + axes[1][axis] * y));
        let antennae = std::array::from_fn(|_| [dice.range(0.85, 1.1), dice.range(0.8, 1.25)]);
        Self { wings, body_to_px, axes, scale, height: dice.range(0.05, 0.20) + 0.2 * lift, antennae }
    }
}

/// Images of the body's axes under heading (in the picture), pitch (nose up) and roll (one side down).
fn axes(heading: f32, pitch: f32, roll: f32) -> [Vec3; 3] {
    let ((sh, ch), (sp, cp), (sr, cr)) = (heading.sin_cos(), pitch.sin_cos(), roll.sin_cos());
    [[cr, 0.0, sr], [0.0, 1.0, 0.0], [-sr, 0.0, cr]].map(|[x, y, z]| {
        let (y, z) = (y * cp - z * sp, y * sp + z * cp);
        [x * ch - y * sh, x * sh + y * ch, z]
    })
}

/// A vector of the body's frame in the camera's frame.
fn turn(axes: [Vec3; 3], v: Vec3) -> Vec3 {
    std::array::from_fn(|axis| (0..3).map(|i| axes[i][axis] * v[i]).sum())
}

/// The affine map that `at(x, y, axis)` is.
fn affine(at: impl Fn(f32, f32, usize) -> f32) -> Transform {
    let [tx, ty] = [at(0.0, 0.0, 0), at(0.0, 0.0, 1)];
    Transform::from_row(at(1.0, 0.0, 0) - tx, at(1.0, 0.0, 1) - ty, at(0.0, 1.0, 0) - tx, at(0.0, 1.0, 1) - ty, tx, ty)
}
