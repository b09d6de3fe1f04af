//! The embeddings as a map to move in: points or small pictures, one color a class.
//!
//! Points, captions and pictures travel as data attributes; the script draws them. Without it the points are drawn, and
//! nothing moves.

use std::fmt::{self, Formatter};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::escape::Text;
use super::model::{EmbeddingMap, MapPoint};
use super::number::Fixed;

/// Length of the longer side of the map, in its own unit.
const SIZE: f64 = 1000.0;

pub(super) fn write(f: &mut Formatter<'_>, map: Option<&EmbeddingMap>) -> fmt::Result {
    let Some(map) = map else { return Ok(()) };
    let frame = Frame::of(&map.points);
    writeln!(
        f,
        r#"<p class="quiet note">{} <span class="scripted">Drag to move, scroll or pinch to zoom, point at an image to see it.</span></p>
<div class="tools scripted"><div class="choice" role="radiogroup" aria-label="Draw"><button type="button" class="plain on" role="radio" aria-checked="true" data-draw="points">Points</button><button type="button" class="plain" role="radio" aria-checked="false" data-draw="pictures">Pictures</button></div>
<label class="pick"><span class="vh">Class</span><select id="map-class"><option value="">All classes</option>"#,
        Text(&map.note),
    )?;
    for (number, name) in map.classes.iter().enumerate() {
        writeln!(f, r#"<option value="{number}">{}</option>"#, Text(name))?;
    }
    write!(
        f,
        r#"</select></label><label class="pick"><input type="checkbox" id="map-astray"> only images whose nearest is of another class</label><button type="button" class="plain" id="map-reset">Reset</button></div>
<div class="map" id="map-view" data-tile="{}" data-columns="{}" data-tiles="data:image/jpeg;base64,{}" tabindex="0" role="img" aria-label="Map of the embeddings"><svg viewBox="-20 -20 1040 1040" aria-hidden="true">"#,
        map.tile_px,
        map.columns,
        STANDARD.encode(&map.tiles.bytes),
    )?;
    for point in &map.points {
        let [x, y] = frame.place(point);
        write!(
            f,
            r#"<circle cx="{}" cy="{}" r="4" data-class="{}"{} data-caption="{}" style="fill:{}"/>"#,
            Fixed(x, 1).to_string().replace('−', "-"),
            Fixed(y, 1).to_string().replace('−', "-"),
            point.class,
            if point.astray { " data-astray" } else { "" },
            Text(&point.caption),
            Hue(point.class),
        )?;
    }
    writeln!(f, r#"</svg></div>"#)
}

/// A color for each class: hues a golden angle apart, in three lightnesses, so that neighbors in number differ.
struct Hue(usize);

impl fmt::Display for Hue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let hue = (self.0 as f64 * 137.508) % 360.0;
        let (light, dark) = [(46, 68), (36, 78), (56, 58)][self.0 % 3];
        write!(f, "light-dark(hsl({hue:.0} 65% {light}%),hsl({hue:.0} 60% {dark}%))")
    }
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
