//! Butterflies of structural color: blues and morphos.

use super::{body, fore_broad, fore_hooked, hind_round, palette, varied, wing};
use crate::color::Rgb;
use crate::dice::Dice;
use crate::marks::{Band, Ink, Mark, Spots, cells};
use crate::outline::Tail;
use crate::species::{Abdomen, Sheen, Species, Traits};

/// Small, silvery, with a white fringe; coppers and hairstreaks among them.
pub(super) fn blue(dice: &mut Dice, t: Traits) -> Species {
    let palette = palette(
        dice,
        [
            [0x5A86D6, 0x4268BC, 0x1B1A24, 0xFAFAFF, 0xA8C4F0, 0xE88A2A, 0xF4E8C8, 0xC83A4A],
            [0x8A6AC8, 0x6648A4, 0x1C1622, 0xFAF6FF, 0xC8B0F0, 0xF09A30, 0xF2EAF4, 0x3A6AC8],
            [0xD8642A, 0xB0481E, 0x20140E, 0xFFF4E0, 0xF0A868, 0x6A3A8A, 0xF8E0A0, 0x8A2414],
            [0x6A8A8C, 0x4E6C70, 0x161C1E, 0xF4FCFA, 0xA8CCC8, 0xE8A040, 0xEAF0E0, 0xB8482A],
        ],
        t,
    );
    let fore = varied(dice, fore_broad());
    let mut hind = varied(dice, hind_round());
    hind.margin = hind.margin.map(|radius| 1.03 * radius);
    let tail = dice.range(0.12, 0.24);
    if t.hind == 1 {
        hind.tails.push(Tail { phi: 0.74, length: tail, width: 0.010, spoon: 0.0, bend: 0.03 });
    }
    let width = [0.03, 0.09, 0.18][usize::from(t.border)];
    let spots = |rho: f32| match t.spots {
        0 => vec![],
        1 => vec![Mark::Spots(Spots::round(rho, 0.36, Ink::Dark))],
        _ => vec![Mark::Spots(Spots::crescents(rho, 0.8, Ink::Accent).stretched(0.9))],
    };
    let mut fore_marks = match t.band {
        0 => vec![],
        1 => vec![Mark::Patch { phi: 0.25, rho: 0.52, size: [0.035, 0.075], soft: 0.0, ink: Ink::Dark }],
        _ => vec![Mark::Band(Band::new(0.60, 0.24, Ink::Spark).soft(0.05).sloping(0.08))],
    };
    fore_marks.extend(spots(0.76));
    match t.tip {
        0 => {}
        1 => fore_marks.push(Mark::Patch { phi: 0.0, rho: 0.95, size: [0.28, 0.28], soft: 0.10, ink: Ink::Dark }),
        _ => fore_marks.push(Mark::Patch { phi: 0.45, rho: 0.62, size: [0.17, 0.18], soft: 0.05, ink: Ink::Accent }),
    }
    let edge = [
        Mark::Border { width, tip: 0.05, arch: 0.1, soft: 0.03, ink: Ink::Dark },
        Mark::Veins { width: 0.004, flare: 0.010, ink: Ink::Dark },
        Mark::Fringe { width: 0.026, ink: Ink::Light, other: if t.accent == 1 { Ink::Dark } else { Ink::Light } },
    ];
    fore_marks.extend(edge.clone());
    let mut hind_marks = spots(0.78);
    hind_marks.extend(edge);
    if t.hind == 2 {
        hind_marks.extend([
            Mark::Spots(Spots::round(0.86, 0.85, Ink::Accent).stretched(0.7).on([3, 4, 5, 6])),
            Mark::Spots(Spots::round(0.91, 0.45, Ink::Dark).stretched(0.8).on([3, 4, 5, 6])),
        ]);
    }
    let sheen = palette.get(Ink::Spark);
    let mut body = body(&palette, Ink::Flush, Ink::Dark, Ink::Light, Abdomen::Plain);
    body.width = 0.07;
    Species {
        body,
        fore: wing(fore, [Ink::Flush, Ink::Ground], fore_marks),
        hind: wing(hind, [Ink::Flush, Ink::Ground], hind_marks),
        palette,
        sheen: Some(Sheen { color: sheen, strength: 0.30 }),
    }
}

/// Broad mirrors of blue in a black frame.
pub(super) fn morpho(dice: &mut Dice, t: Traits) -> Species {
    let palette = palette(
        dice,
        [
            [0x1E62CC, 0x123C8C, 0x0E0D12, 0xF4F8FF, 0x56B4FF, 0xF4F6F0, 0x8AD0FF, 0xE0903A],
            [0x12909A, 0x0B5A6A, 0x0C1012, 0xF0FFFC, 0x4AE0D0, 0xF0F0D8, 0xB8F080, 0xE8A83A],
            [0x5A3AC0, 0x38208A, 0x0E0A16, 0xF8F0FF, 0xA080FF, 0xF4ECF8, 0xF08AB0, 0xE0B83A],
        ],
        t,
    );
    let fore = varied(dice, fore_hooked());
    let mut hind = varied(dice, hind_round());
    hind.scallop = dice.range(0.03, 0.06);
    hind.margin = hind.margin.map(|radius| 1.08 * radius);
    let width = [0.07, 0.15, 0.26][usize::from(t.border)];
    let studs = |width: f32| match t.spots {
        0 => vec![],
        1 => vec![Mark::Spots(Spots::round(1.0 - 0.6 * width, 0.34, Ink::Accent).stretched(0.9))],
        _ => vec![
            Mark::Spots(Spots::round(1.0 - 0.3 * width, 0.22, Ink::Light).stretched(0.9)),
            Mark::Spots(Spots::round(1.0 - 0.8 * width, 0.30, Ink::Accent).stretched(0.9)),
        ],
    };
    let band = |rho: f32| match t.band {
        0 => vec![],
        1 => vec![Mark::Band(Band::new(rho, 0.20, Ink::Spark).sloping(0.15).soft(0.03))],
        _ => vec![Mark::Patch { phi: 0.5, rho: 0.0, size: [0.30, 0.4], soft: 0.08, ink: Ink::Dark }],
    };
    let mut fore_marks = band(0.55);
    match t.tip {
        0 => {}
        1 => fore_marks.push(Mark::Patch { phi: 0.0, rho: 0.95, size: [0.34, 0.36], soft: 0.05, ink: Ink::Dark }),
        _ => fore_marks.extend([
            Mark::Patch { phi: 0.0, rho: 0.92, size: [0.36, 0.36], soft: 0.05, ink: Ink::Dark },
            Mark::Spots(Spots::round(0.76, 0.7, Ink::Accent).stretched(1.1).sloping(0.2).on([0, 1, 2])),
        ]),
    }
    fore_marks.push(Mark::Border { width, tip: 0.08, arch: 0.15, soft: 0.02, ink: Ink::Dark });
    fore_marks.extend(studs(width + 0.02));
    fore_marks.push(Mark::Veins { width: 0.008, flare: 0.003, ink: Ink::Dark });
    let mut hind_marks = band(0.5);
    match t.hind {
        0 => {}
        1 => hind_marks.push(Mark::Eyes {
            rho: 0.74,
            cells: cells([5, 6]),
            radius: 0.06,
            rings: vec![(1.0, Ink::Dark), (0.7, Ink::Accent), (0.35, Ink::Dark)],
        }),
        _ => hind_marks.push(Mark::Patch { phi: 0.95, rho: 0.45, size: [0.42, 0.16], soft: 0.06, ink: Ink::Light }),
    }
    hind_marks.push(Mark::Border { width: width + 0.02, tip: 0.0, arch: 0.15, soft: 0.02, ink: Ink::Dark });
    hind_marks.extend(studs(width + 0.02));
    hind_marks.push(Mark::Veins { width: 0.008, flare: 0.003, ink: Ink::Dark });
    let color = palette.get(Ink::Spark).mix(Rgb::gray(1.0), 0.15);
    Species {
        body: body(&palette, Ink::Dark, Ink::Dark, Ink::Flush, Abdomen::Plain),
        fore: wing(fore, [Ink::Flush, Ink::Ground], fore_marks),
        hind: wing(hind, [Ink::Flush, Ink::Ground], hind_marks),
        palette,
        sheen: Some(Sheen { color, strength: 0.75 }),
    }
}
