//! Monarchs, longwings and glasswings.

use super::{body, fore_broad, fore_long, fore_pointed, hind_round, palette, varied, wing};
use crate::dice::Dice;
use crate::marks::{Band, Ink, Mark, Spots, cells};
use crate::species::{Abdomen, Species, Traits};

/// Warm wings between heavy black veins, a black border with white dots.
pub(super) fn monarch(dice: &mut Dice, t: Traits) -> Species {
    let palette = palette(
        dice,
        [
            [0xE2741A, 0xC95A12, 0x17100C, 0xFFF8EA, 0xF2B04A, 0xF4C060, 0xF8EBD0, 0xB03A14],
            [0xB8501E, 0x8E3A16, 0x140D0A, 0xFFF4E0, 0xD88838, 0xE8A040, 0xF4E4D0, 0x6A2410],
            [0x8FC4D8, 0x6AAAC8, 0x10161C, 0xF0FAFF, 0xB8E0EA, 0xD8F0F4, 0x4A88C0, 0xE8E0A0],
        ],
        t,
    );
    let mut fore = varied(dice, fore_pointed());
    fore.roundness = 12;
    let hind = varied(dice, hind_round());
    let veins = Mark::Veins { width: 0.020, flare: 0.012, ink: Ink::Dark };
    let width = [0.07, 0.11, 0.17][usize::from(t.border)];
    let dots = |rho: f32, size: f32| Mark::Spots(Spots::round(rho, size, Ink::Light));
    let edging = |width: f32| match t.spots {
        0 => vec![dots(1.0 - 0.28 * width, 0.22), dots(1.0 - 0.78 * width, 0.26)],
        1 => vec![dots(1.0 - 0.5 * width, 0.42)],
        _ => vec![Mark::Band(Band::new(1.0 - 0.5 * width, 0.018, Ink::Light))],
    };
    let mut fore_marks = match t.band {
        0 => vec![],
        1 => vec![Mark::Band(Band::new(0.66, 0.16, Ink::Accent).sloping(0.2).spanning([-0.2, 0.62]).soft(0.02))],
        _ => vec![Mark::Band(Band::new(0.58, 0.12, Ink::Dark).sloping(0.25).spanning([-0.2, 0.7]).jagged(0.02))],
    };
    match t.tip {
        0 => fore_marks.push(Mark::Patch { phi: 0.0, rho: 0.92, size: [0.22, 0.22], soft: 0.04, ink: Ink::Dark }),
        1 => fore_marks.extend([
            Mark::Patch { phi: 0.06, rho: 0.86, size: [0.38, 0.36], soft: 0.03, ink: Ink::Dark },
            Mark::Spots(Spots::round(0.72, 0.55, Ink::Light).stretched(1.6).sloping(0.3).on([0, 1, 2, 3])),
        ]),
        _ => fore_marks.extend([
            Mark::Patch { phi: 0.06, rho: 0.86, size: [0.36, 0.34], soft: 0.03, ink: Ink::Dark },
            Mark::Band(Band::new(0.78, 0.10, Ink::Accent).sloping(0.3).spanning([-0.1, 0.42])),
        ]),
    }
    fore_marks.extend([Mark::Border { width, tip: 0.03, arch: 0.15, soft: 0.0, ink: Ink::Dark }, veins.clone()]);
    fore_marks.extend(edging(width));
    let mut hind_marks = match t.hind {
        0 => vec![],
        1 => vec![Mark::Patch { phi: 0.45, rho: 0.5, size: [0.22, 0.26], soft: 0.10, ink: Ink::Light }],
        _ => vec![Mark::Patch { phi: 0.5, rho: 0.1, size: [0.30, 0.4], soft: 0.06, ink: Ink::Dark }],
    };
    hind_marks.extend([Mark::Border { width, tip: 0.0, arch: 0.15, soft: 0.0, ink: Ink::Dark }, veins]);
    hind_marks.extend(edging(width));
    Species {
        body: body(&palette, Ink::Dark, Ink::Dark, Ink::Light, Abdomen::Plain),
        fore: wing(fore, [Ink::Flush, Ink::Ground], fore_marks),
        hind: wing(hind, [Ink::Flush, Ink::Ground], hind_marks),
        palette,
        sheen: None,
    }
}

/// Long black wings with one glowing band, and rays or a bar behind.
pub(super) fn longwing(dice: &mut Dice, t: Traits) -> Species {
    let palette = palette(
        dice,
        [
            [0x1A1412, 0x2A1E18, 0x0C0908, 0xFBF3D8, 0xF0D040, 0xD8281C, 0xF0D658, 0xE87820],
            [0x141820, 0x1E2A40, 0x0A0C10, 0xF4F4F0, 0x4A80E0, 0xF4F0E0, 0xE03A2A, 0xF0C040],
        ],
        t,
    );
    let fore = varied(dice, fore_long());
    let mut hind = varied(dice, hind_round());
    hind.margin = hind.margin.map(|radius| 0.94 * radius);
    let lean = dice.range(0.25, 0.5);
    let width = [0.10, 0.17, 0.25][usize::from(t.border)];
    let band = |rho: f32| {
        Mark::Band(Band::new(rho, width, Ink::Accent).sloping(lean).jagged(0.012).soft(0.012).spanning([-0.5, 0.9]))
    };
    let mut fore_marks = match t.band {
        0 => vec![band(0.62)],
        1 => vec![band(0.56), Mark::Band(Band::new(0.84, 0.05, Ink::Light).sloping(lean).spanning([-0.2, 0.6]))],
        _ => vec![Mark::Spots(Spots::round(0.60, 0.8, Ink::Accent).stretched(3.0 * width + 0.6).sloping(lean))],
    };
    match t.tip {
        0 => {}
        1 => fore_marks.push(Mark::Band(Band::new(0.25, 0.5, Ink::Spark).spanning([0.55, 0.8]).soft(0.02))),
        _ => fore_marks.push(Mark::Spots(Spots::round(0.88, 0.45, Ink::Light).stretched(1.2).on([0, 1, 2]))),
    }
    let mut hind_marks = match t.hind {
        0 => vec![Mark::Rays { from: 0.28, to: 0.98, fill: 0.5, ink: Ink::Accent }],
        1 => vec![Mark::Band(Band::new(0.40, 0.16, Ink::Spark).sloping(0.15).soft(0.015))],
        _ => vec![],
    };
    match t.spots {
        0 => {}
        1 => hind_marks.push(Mark::Spots(Spots::round(0.86, 0.34, Ink::Light).stretched(1.2))),
        _ => {
            hind_marks.push(Mark::Band(Band::new(0.90, 0.06, Ink::Light).arched(0.02)));
            hind_marks.push(Mark::Veins { width: 0.012, flare: 0.01, ink: Ink::Dark });
        }
    }
    Species {
        body: body(&palette, Ink::Dark, Ink::Ground, Ink::Spark, Abdomen::Striped),
        fore: wing(fore, [Ink::Flush, Ink::Ground], fore_marks),
        hind: wing(hind, [Ink::Ground, Ink::Flush], hind_marks),
        palette,
        sheen: None,
    }
}

/// Wings like window panes, framed in brown.
pub(super) fn glasswing(dice: &mut Dice, t: Traits) -> Species {
    let palette = palette(
        dice,
        [
            [0xC8C0A8, 0xB8AC90, 0x2A1A12, 0xFFFAF0, 0x7A3A1E, 0xC85A20, 0xE0A030, 0x8A2A2A],
            [0xD8D0B0, 0xC8BC88, 0x1E1A16, 0xFFFFF4, 0xA06A28, 0xE8C060, 0xD06A2A, 0x6A7A3A],
        ],
        t,
    );
    let shape = if dice.chance(0.6) { fore_long() } else { fore_broad() };
    let fore = varied(dice, shape);
    let hind = varied(dice, hind_round());
    let glass = Mark::Glass { to: 0.93, opacity: dice.range(0.16, 0.34) };
    let width = [0.06, 0.10, 0.15][usize::from(t.border)];
    let frame = Mark::Border { width, tip: 0.10, arch: 0.2, soft: 0.0, ink: Ink::Dark };
    let veins = Mark::Veins { width: 0.014, flare: 0.004, ink: Ink::Dark };
    let line = match t.spots {
        0 => Mark::Band(Band::new(1.0 - 0.5 * width, 0.03, Ink::Accent).spanning([-0.3, 1.3])),
        1 => Mark::Spots(Spots::round(1.0 - 0.5 * width, 0.36, Ink::Light).stretched(0.8)),
        _ => Mark::Border { width: 0.4 * width, tip: 0.0, arch: 0.0, soft: 0.0, ink: Ink::Accent },
    };
    let mut fore_marks = vec![glass.clone(), veins.clone()];
    match t.band {
        0 => {
            fore_marks.push(Mark::Band(Band::new(0.72, 0.11, Ink::Light).sloping(0.3).spanning([-0.4, 0.7]).soft(0.02)))
        }
        1 => fore_marks.push(Mark::Band(Band::new(0.52, 0.10, Ink::Dark).sloping(0.2).spanning([-0.4, 0.6]))),
        _ => fore_marks.extend([
            Mark::Band(Band::new(0.46, 0.07, Ink::Dark).sloping(0.2).spanning([-0.4, 0.5])),
            Mark::Band(Band::new(0.70, 0.07, Ink::Accent).sloping(0.3).spanning([-0.4, 0.7])),
        ]),
    }
    match t.tip {
        0 => {}
        1 => fore_marks.push(Mark::Patch { phi: 0.05, rho: 0.95, size: [0.26, 0.3], soft: 0.03, ink: Ink::Dark }),
        _ => fore_marks.push(Mark::Patch { phi: 0.4, rho: 0.0, size: [0.4, 0.4], soft: 0.04, ink: Ink::Accent }),
    }
    fore_marks.extend([frame.clone(), line.clone()]);
    let mut hind_marks = vec![glass, veins];
    match t.hind {
        0 => {}
        1 => hind_marks.push(Mark::Border { width: 0.32, tip: 0.0, arch: 0.1, soft: 0.03, ink: Ink::Accent }),
        _ => hind_marks.push(Mark::Eyes {
            rho: 0.66,
            cells: cells([3, 6]),
            radius: 0.07,
            rings: vec![(1.0, Ink::Accent), (0.8, Ink::Dark), (0.25, Ink::Light)],
        }),
    }
    hind_marks.extend([frame, line]);
    Species {
        body: body(&palette, Ink::Dark, Ink::Dark, Ink::Accent, Abdomen::Plain),
        fore: wing(fore, [Ink::Ground, Ink::Ground], fore_marks),
        hind: wing(hind, [Ink::Ground, Ink::Flush], hind_marks),
        palette,
        sheen: None,
    }
}
