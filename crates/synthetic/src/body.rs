//! Draws what lies between the wings: antennae, head, thorax, abdomen.

use tiny_skia::{Mask, PathBuilder, Rect, Stroke};

use super::canvas::Canvas;
use super::color::Rgb;
use super::insect::Butterfly;
use super::light::{Vec3, normalized};
use super::noise;
use super::scalar::{floor, smoothstep};
use super::species::{Abdomen, Body};

/// What fur and chitin darken to: the head, the antennae.
const HEAD: u32 = 0x120E0C;
const ANTENNA: u32 = 0x1A1410;

impl Butterfly<'_> {
    /// Draws a clubbed antenna to either side.
    pub fn draw_antennae(&self, canvas: &mut Canvas, mask: &mut Mask) {
        let Self { pose, light, .. } = self;
        let body = &self.species.body;
        let ink = body.thorax.mix(Rgb::hex(ANTENNA), 0.75);
        let color = ink.times(light.on(pose.axes[2], 1.0, 0.0));
        for (side, [length, spread]) in [-1.0, 1.0].into_iter().zip(pose.antennae) {
            let root = [side * 0.018, -0.185];
            let tip = [side * 0.20 * spread, -0.20 - 0.32 * length];
            let mut builder = PathBuilder::new();
            builder.move_to(root[0], root[1]);
            builder.quad_to(side * 0.07 * spread, -0.40, tip[0], tip[1]);
            let width = (0.012_f32).max(0.8 / pose.scale);
            let stroke = Stroke { width, ..Stroke::default() };
            let line = builder.finish().and_then(|path| path.stroke(&stroke, pose.scale));
            let club = Rect::from_xywh(tip[0] - 0.016, tip[1] - 0.016, 0.032, 0.032).and_then(PathBuilder::from_oval);
            for path in [line, club].into_iter().flatten() {
                canvas.paint(mask, &path, pose.body_to_px, |_, _| (color, 0.9));
            }
        }
    }

    /// Draws head, thorax and abdomen: one solid of revolution, furry in front and ringed behind.
    pub fn draw_body(&self, canvas: &mut Canvas, mask: &mut Mask) {
        let body = &self.species.body;
        // A box around the longest body; what is body and what is not, the shader says.
        let Some(area) = Rect::from_ltrb(-0.12, -0.24, 0.12, 0.60).map(PathBuilder::from_rect) else { return };
        let pixel = 1.0 / self.pose.scale;
        canvas.paint(mask, &area, self.pose.body_to_px, |x, y| {
            let fur = noise::value(self.individual.seed, x * 90.0, y * 34.0);
            let furry = smoothstep(0.16, 0.02, y) * smoothstep(-0.22, -0.12, y);
            let half = half_width(body, y) * (1.0 + 0.16 * fur * furry);
            let cover = ((half - x.abs()) / pixel + 0.5).clamp(0.0, 1.0);
            if half <= 0.0 || cover <= 0.0 {
                return (Rgb::BLACK, 0.0);
            }
            let around = (x / half).clamp(-1.0, 1.0);
            let normal = self.body_normal(around, y);
            let thorax = body.thorax * (1.0 + 0.35 * fur);
            let head = body.thorax.mix(Rgb::hex(HEAD), 0.5);
            let coat = abdomen_color(body, around, y).mix(thorax, smoothstep(0.11, 0.06, y));
            let coat = coat.mix(head, smoothstep(-0.13, -0.15, y));
            let gloss = self.light.sun * (0.05 * self.light.gloss(normal, 24));
            (coat.times(self.light.on(normal, 1.0, 0.0)) + gloss, cover)
        });
    }

    /// The upper surface's normal at `around` (-1 left edge, 1 right edge) and `y`, in the camera's frame.
    fn body_normal(&self, around: f32, y: f32) -> Vec3 {
        let body = &self.species.body;
        let [right, tailward, up] = self.pose.axes;
        let slope = (half_width(body, y + 0.01) - half_width(body, y - 0.01)) / 0.02;
        let rise = (1.0 - around * around).sqrt();
        let forward = (0.6 * slope * rise).clamp(-0.8, 0.8);
        normalized(std::array::from_fn(|i| right[i] * around + up[i] * (rise + 0.15) - tailward[i] * forward))
    }
}

/// Half width of the body at `y` along it, wing units: head, thorax, abdomen.
fn half_width(body: &Body, y: f32) -> f32 {
    let oval = |center: f32, length: f32, width: f32| {
        let t = (y - center) / length;
        width * (1.0 - t * t).max(0.0).sqrt()
    };
    let head = oval(-0.168, 0.045, 0.70 * body.width);
    let thorax = oval(-0.03, 0.125, body.width);
    let middle = 0.06 + 0.5 * body.length;
    // The abdomen tapers towards its end.
    let taper = 0.86 - 0.22 * ((y - middle) / body.length);
    let abdomen = oval(middle, 0.52 * body.length, 0.80 * body.width * taper);
    head.max(thorax).max(abdomen)
}

/// The abdomen's pigment, with the creases between its segments.
fn abdomen_color(body: &Body, around: f32, y: f32) -> Rgb {
    let segment = (y - 0.06) / body.length * 7.0;
    let crease = 1.0 - 0.22 * smoothstep(0.25, 0.5, (segment - floor(segment) - 0.5).abs());
    let second = match body.pattern {
        Abdomen::Plain => 0.0,
        Abdomen::Ringed => smoothstep(0.15, 0.3, (segment - floor(segment) - 0.5).abs()),
        Abdomen::Striped => smoothstep(0.36, 0.26, around.abs()),
    };
    body.abdomen.mix(body.second, second) * crease
}
