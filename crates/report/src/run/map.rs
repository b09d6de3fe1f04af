//! The embeddings as a map to move in: points or small pictures, colored by class.
//!
//! Points, captions and pictures travel as data attributes; the script draws them. Without it the points are drawn, and
//! nothing moves.

use maud::html;

use super::model::{EmbeddingMap, MapPoint};
use crate::frame::Section;

/// Length of the longer side of the map, in its own unit.
const SIZE: f64 = 1000.0;

pub(super) fn section(map: &EmbeddingMap) -> Option<Section> {
    let frame = Frame::of(&map.points);
    let draw = |name: &str, what: &str, on: bool| {
        html! { button.plain.on[on] type="button" role="radio" aria-checked=(on) data-draw=(what) { (name) } }
    };
    let body = html! {
        p.quiet.note {
            (map.note) " "
            span.scripted { "Drag to move, scroll or pinch to zoom, hover over an image to see it." }
        }
        div.tools.scripted {
            div.choice role="radiogroup" aria-label="Draw" {
                (draw("Points", "points", true)) (draw("Pictures", "pictures", false))
            }
            label.pick {
                span.vh { "Class" }
                select #map-class {
                    option value="" { "All classes" }
                    @for (number, name) in map.classes.iter().enumerate() { option value=(number) { (name) } }
                }
            }
            label.pick { input #map-astray type="checkbox"; " only images whose nearest is of another class" }
            button.plain #map-reset type="button" { "Reset" }
        }
        div.map #map-view data-tile=(map.tile_px) data-columns=(map.columns) data-tiles=(map.tiles.data_url())
            tabindex="0" role="img" aria-label="Map of the embeddings" {
            svg viewBox="-20 -20 1040 1040" aria-hidden="true" {
                @for point in &map.points {
                    @let [x, y] = frame.place(point);
                    circle cx=(format_args!("{x:.1}")) cy=(format_args!("{y:.1}")) r="4" data-class=(point.class)
                        data-astray[point.astray] data-caption=(point.caption) style={ "fill:" (color(point.class)) } {}
                }
            }
        }
    };
    (!map.points.is_empty()).then_some(Section { id: "map", heading: "Map", body })
}

/// A color for each class: hues a golden angle apart, in three lightnesses, so that neighbors in number differ.
fn color(class: usize) -> String {
    let hue = (class as f64 * 137.508) % 360.0;
    let (light, dark) = [(46, 68), (36, 78), (56, 58)][class % 3];
    format!("light-dark(hsl({hue:.0} 65% {light}%),hsl({hue:.0} 60% {dark}%))")
}

/// Fits the points into a square.
struct Frame {
    middle: [f64; 2],
    scale: f64,
}

impl Frame {
    fn of(points: &[MapPoint]) -> Self {
        let range = |value: fn(&MapPoint) -> f64| {
            let values = points.iter().map(value).filter(|value| value.is_finite());
            values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
        };
        let (x, y) = (range(|point| point.x), range(|point| point.y));
        let size = (x.1 - x.0).max(y.1 - y.0);
        let scale = if size > 0.0 && size.is_finite() { SIZE / size } else { 0.0 };
        Self { middle: [(x.0 + x.1) / 2.0, (y.0 + y.1) / 2.0], scale }
    }

    fn place(&self, point: &MapPoint) -> [f64; 2] {
        let place = |value: f64, middle: f64| match (value - middle) * self.scale {
            offset if offset.is_finite() => SIZE / 2.0 + offset,
            _ => SIZE / 2.0,
        };
        [place(point.x, self.middle[0]), place(point.y, self.middle[1])]
    }
}
