//! Admirals, fritillaries, commas and peacocks.

use super::{body, fore_broad, fore_hooked, hind_round, palette, varied, wing};
use crate::dice::Dice;
use crate::marks::{Band, Ink, Mark, Spots, cells};
use crate::outline::Tail;
use crate::species::{Abdomen, Species, Traits};

/// Dark wings crossed by a glowing band, white flecks at the tip.
pub(super) fn admiral(dice: &mut Dice, t: Traits) -> Species {
    let palette = palette(
        dice,
        [
            [0x2C1D16, 0x4A2E1C, 0x120C0A, 0xFBF7EC, 0x4A70B8, 0xDA4A1E, 0xF0A02A, 0xF4EEDC],
            [0x1E2028, 0x2E3446, 0x0C0D12, 0xF4F6FA, 0x3A8AC8, 0xF2F0E6, 0x58B0E0, 0xE87A2A],
            [0x3A2418, 0x5E3C22, 0x170E0A, 0xF8EFDA, 0x6A8A4A, 0xE8C23A, 0xE0602A, 0xF0E8C8],
        ],
        t,
    );
    let mut fore = varied(dice, fore_hooked());
    fore.scallop = dice.range(0.0, 0.025);
    let mut hind = varied(dice, hind_round());
    hind.scallop = dice.range(0.02, 0.05);
    if t.hind == 2 {
        hind.tails.push(Tail { phi: 0.65, length: 0.10, width: 0.03, spoon: 0.0, bend: 0.0 });
    }
    let lean = dice.range(0.3, 0.55);
    let mut fore_marks = match t.band {
        0 => vec![Mark::Band(Band::new(0.56, 0.11, Ink::Accent).sloping(lean).jagged(0.012).spanning([-0.5, 0.85]))],
        1 => vec![Mark::Band(Band::new(0.54, 0.24, Ink::Accent).sloping(lean).jagged(0.02).spanning([-0.5, 1.2]))],
        _ => vec![Mark::Spots(Spots::round(0.56, 0.9, Ink::Accent).stretched(1.3).sloping(lean))],
    };
    match t.spots {
        0 => {
            fore_marks.push(Mark::Spots(Spots::round(0.80, 0.6, Ink::Light).stretched(1.2).sloping(0.15).on([0, 1, 2])))
        }
        1 => fore_marks.push(Mark::Band(Band::new(0.86, 0.10, Ink::Light).sloping(0.5).spanning([-0.5, 0.34]))),
        _ => fore_marks.push(Mark::Spots(Spots::round(0.84, 0.34, Ink::Light))),
    }
    match t.tip {
        0 => {}
        1 => fore_marks.push(Mark::Bars { from: 0.2, to: 0.5, count: 2, fill: 0.4, depth: 0.34, ink: Ink::Accent }),
        _ => fore_marks.push(Mark::Patch { phi: 0.5, rho: 0.05, size: [0.34, 0.4], soft: 0.12, ink: Ink::Spark }),
    }
    let fringe = Mark::Fringe { width: 0.022, ink: Ink::Light, other: Ink::Dark };
    fore_marks.extend([Mark::Veins { width: 0.006, flare: 0.004, ink: Ink::Dark }, fringe.clone()]);
    let mut hind_marks = match t.border {
        0 => vec![
            Mark::Border { width: 0.16, tip: 0.0, arch: 0.15, soft: 0.0, ink: Ink::Accent },
            Mark::Spots(Spots::round(0.89, 0.3, Ink::Dark)),
        ],
        1 => vec![Mark::Band(Band::new(0.52, 0.18, Ink::Accent).sloping(-0.1).jagged(0.01))],
        _ => vec![Mark::Spots(Spots::crescents(0.88, 0.75, Ink::Light).stretched(0.7))],
    };
    if t.hind == 1 {
        hind_marks.push(Mark::Eyes {
            rho: 0.76,
            cells: cells([5, 6]),
            radius: 0.06,
            rings: vec![(1.0, Ink::Dark), (0.7, Ink::Spark)],
        });
    }
    hind_marks.extend([Mark::Veins { width: 0.006, flare: 0.004, ink: Ink::Dark }, fringe]);
    Species {
        body: body(&palette, Ink::Flush, Ink::Ground, Ink::Flush, Abdomen::Plain),
        fore: wing(fore, [Ink::Flush, Ink::Ground], fore_marks),
        hind: wing(hind, [Ink::Flush, Ink::Ground], hind_marks),
        palette,
        sheen: None,
    }
}

/// Tawny wings chequered with dark spots and zigzags.
pub(super) fn fritillary(dice: &mut Dice, t: Traits) -> Species {
    let palette = palette(
        dice,
        [
            [0xE0862A, 0xB9601C, 0x2A170C, 0xFBE8B8, 0x6A7A4A, 0xA83E16, 0xF4C668, 0x8A7A4A],
            [0xD9A04A, 0xAE7A30, 0x2E1C10, 0xFFF2D0, 0x8A9A8A, 0xC8602A, 0xF6DC9A, 0x6A5A34],
            [0xC8642A, 0x9A4420, 0x22110C, 0xF8D8A0, 0x7A5A8A, 0xE89A40, 0x7A2A18, 0xF2E0B8],
        ],
        t,
    );
    let mut fore = varied(dice, fore_broad());
    fore.scallop = dice.range(0.0, 0.02);
    let mut hind = varied(dice, hind_round());
    hind.scallop = dice.range(0.01, 0.04);
    let median = |rho: f32| match t.band {
        0 => vec![Mark::Band(Band::new(rho, 0.035, Ink::Dark).jagged(0.06).arched(0.03).sloping(0.06))],
        1 => vec![
            Mark::Spots(Spots::bars(rho - 0.05, 0.62, Ink::Dark).stretched(0.9).sloping(0.06)),
            Mark::Spots(Spots::round(rho + 0.08, 0.40, Ink::Dark)),
        ],
        _ => vec![Mark::Band(Band::new(rho + 0.02, 0.12, Ink::Accent).jagged(0.025).rimmed(Ink::Dark, 0.022))],
    };
    let row = match t.spots {
        0 => Mark::Spots(Spots::round(0.74, 0.42, Ink::Dark)),
        1 => Mark::Spots(Spots::arrows(0.78, 0.80, Ink::Dark)),
        _ => Mark::Spots(Spots::round(0.73, 0.66, Ink::Dark)),
    };
    let edge = match t.border {
        0 => vec![Mark::Spots(Spots::crescents(0.91, 0.85, Ink::Dark).stretched(0.75))],
        1 => vec![
            Mark::Border { width: 0.10, tip: 0.02, arch: 0.3, soft: 0.0, ink: Ink::Dark },
            Mark::Spots(Spots::round(0.94, 0.4, Ink::Light).stretched(0.8)),
        ],
        _ => vec![
            Mark::Band(Band::new(0.895, 0.022, Ink::Dark).arched(-0.04)),
            Mark::Band(Band::new(0.965, 0.03, Ink::Dark)),
        ],
    };
    let cell = Mark::Bars { from: 0.16, to: 0.48, count: 4, fill: 0.38, depth: 0.42, ink: Ink::Dark };
    let mut fore_marks = vec![cell];
    fore_marks.extend(median(0.56));
    fore_marks.push(row.clone());
    fore_marks.extend(edge.clone());
    match t.tip {
        0 => {}
        1 => fore_marks.push(Mark::Patch { phi: 0.0, rho: 0.95, size: [0.2, 0.22], soft: 0.08, ink: Ink::Dark }),
        _ => fore_marks.push(Mark::Spots(Spots::round(0.84, 0.5, Ink::Light).on([0, 1, 2]))),
    }
    fore_marks.push(Mark::Veins { width: 0.007, flare: 0.006, ink: Ink::Dark });
    let mut hind_marks = vec![Mark::Dusting { rho: 0.0, spread: 0.3, density: 0.6, ink: Ink::Dark }];
    hind_marks.extend(median(0.46));
    match t.hind {
        0 => {}
        1 => hind_marks.push(Mark::Patch { phi: 0.6, rho: 0.1, size: [0.34, 0.36], soft: 0.10, ink: Ink::Dark }),
        _ => hind_marks.push(Mark::Spots(Spots::round(0.60, 0.6, Ink::Light).stretched(1.1))),
    }
    hind_marks.push(row);
    hind_marks.extend(edge);
    hind_marks.push(Mark::Veins { width: 0.006, flare: 0.004, ink: Ink::Dark });
    Species {
        body: body(&palette, Ink::Flush, Ink::Flush, Ink::Dark, Abdomen::Ringed),
        fore: wing(fore, [Ink::Flush, Ink::Ground], fore_marks),
        hind: wing(hind, [Ink::Flush, Ink::Ground], hind_marks),
        palette,
        sheen: None,
    }
}

/// Ragged wings, orange with black bars on the leading edge and a studded border.
pub(super) fn comma(dice: &mut Dice, t: Traits) -> Species {
    let palette = palette(
        dice,
        [
            [0xDD6A1E, 0xB24A18, 0x24140E, 0xFFF0C8, 0x4A86C8, 0xF4C850, 0xF6EAD0, 0x8A3A1A],
            [0xC8402A, 0x93301E, 0x1E100E, 0xF8E8D0, 0x6A9AC0, 0xF0B040, 0xE8E0D0, 0x5A2018],
        ],
        t,
    );
    let mut fore = varied(dice, fore_hooked());
    (fore.scallop, fore.ragged) = (0.02, dice.range(0.05, 0.11));
    let mut hind = varied(dice, hind_round());
    (hind.scallop, hind.ragged) = (0.03, dice.range(0.05, 0.10));
    if t.hind == 1 {
        hind.tails.push(Tail { phi: 0.62, length: 0.12, width: 0.03, spoon: 0.0, bend: 0.0 });
    }
    let count = [2, 3, 4][usize::from(t.band)];
    let width = [0.07, 0.12, 0.18][usize::from(t.border)];
    let edge = |width: f32| {
        let rho = 1.0 - 0.55 * width;
        let studs = match t.spots {
            0 => Mark::Spots(Spots::crescents(rho, 0.66, Ink::Spark).stretched(0.6)),
            1 => Mark::Spots(Spots::round(rho, 0.34, Ink::Accent).stretched(0.9)),
            _ => Mark::Band(Band::new(rho, 0.03, Ink::Accent).jagged(0.008)),
        };
        [Mark::Border { width, tip: 0.03, arch: -0.25, soft: 0.0, ink: Ink::Dark }, studs]
    };
    let mut fore_marks = vec![
        Mark::Bars { from: 0.22, to: 0.80, count: 2 * count, fill: 0.96, depth: 0.30, ink: Ink::Accent },
        Mark::Bars { from: 0.22, to: 0.80, count, fill: 0.46, depth: 0.36, ink: Ink::Dark },
        Mark::Patch { phi: 0.02, rho: 0.82, size: [0.06, 0.10], soft: 0.0, ink: Ink::Light },
        Mark::Dusting { rho: 0.0, spread: 0.25, density: 0.6, ink: Ink::Flush },
    ];
    match t.tip {
        0 => fore_marks.push(Mark::Eyes {
            rho: 0.52,
            cells: cells([4, 5]),
            radius: 0.042,
            rings: vec![(1.0, Ink::Dark)],
        }),
        1 => fore_marks.push(Mark::Eyes { rho: 0.50, cells: cells([5]), radius: 0.075, rings: vec![(1.0, Ink::Dark)] }),
        _ => fore_marks.push(Mark::Spots(Spots::round(0.64, 0.5, Ink::Dark).on([2, 3, 4, 5, 6]))),
    }
    fore_marks.extend(edge(width));
    let mut hind_marks = match t.hind {
        0 => vec![Mark::Eyes { rho: 0.48, cells: cells([2, 4]), radius: 0.05, rings: vec![(1.0, Ink::Dark)] }],
        1 => vec![Mark::Patch { phi: 0.35, rho: 0.1, size: [0.36, 0.5], soft: 0.06, ink: Ink::Dark }],
        _ => vec![
            Mark::Patch { phi: 0.25, rho: 0.5, size: [0.16, 0.14], soft: 0.02, ink: Ink::Dark },
            Mark::Band(Band::new(0.66, 0.05, Ink::Accent).jagged(0.02)),
        ],
    };
    hind_marks.extend(edge(1.15 * width));
    Species {
        body: body(&palette, Ink::Flush, Ink::Flush, Ink::Dark, Abdomen::Plain),
        fore: wing(fore, [Ink::Flush, Ink::Ground], fore_marks),
        hind: wing(hind, [Ink::Flush, Ink::Ground], hind_marks),
        palette,
        sheen: None,
    }
}

/// One great eye on each wing.
pub(super) fn peacock(dice: &mut Dice, t: Traits) -> Species {
    let palette = palette(
        dice,
        [
            [0x9A3822, 0x7A2C1C, 0x1A1010, 0xF4E6B8, 0x5A78C8, 0xF0C23A, 0xE8E0D0, 0xE07A2A],
            [0xB89A68, 0x8A6A42, 0x20160F, 0xFBF2DC, 0x4A6AA8, 0xE0742A, 0xC8302A, 0xF0D47A],
            [0x7A6A88, 0x5A4A6A, 0x16121C, 0xF2ECF8, 0x48A0C0, 0xF0B040, 0xE8648A, 0xD8E0A0],
        ],
        t,
    );
    let mut fore = varied(dice, fore_hooked());
    (fore.scallop, fore.ragged) = (0.015, dice.range(0.0, 0.04));
    let mut hind = varied(dice, hind_round());
    (hind.scallop, hind.ragged) = (0.03, dice.range(0.0, 0.04));
    let radius = dice.range(0.13, 0.17);
    let eye = match t.spots {
        0 => vec![(1.0, Ink::Accent), (0.82, Ink::Dark), (0.6, Ink::Spark), (0.22, Ink::Light)],
        1 => vec![(1.0, Ink::Dark), (0.84, Ink::Accent), (0.58, Ink::Dark), (0.2, Ink::Light)],
        _ => vec![(1.0, Ink::Light), (0.8, Ink::Spark), (0.56, Ink::Dark)],
    };
    let (fore_cells, hind_cells) = match t.hind {
        0 => (cells([1]), cells([4])),
        1 => (cells([1, 5]), cells([4])),
        _ => (cells([1]), cells([3, 6])),
    };
    let shrink = |set: u16| if set.count_ones() > 1 { 0.72 } else { 1.0 };
    let edge = match t.border {
        0 => vec![Mark::Border { width: 0.06, tip: 0.02, arch: 0.0, soft: 0.02, ink: Ink::Dark }],
        1 => vec![
            Mark::Border { width: 0.15, tip: 0.03, arch: 0.2, soft: 0.0, ink: Ink::Flush },
            Mark::Band(Band::new(0.83, 0.02, Ink::Dark).arched(-0.03)),
        ],
        _ => vec![
            Mark::Band(Band::new(0.93, 0.06, Ink::Accent).arched(-0.02)),
            Mark::Border { width: 0.03, tip: 0.0, arch: 0.0, soft: 0.0, ink: Ink::Dark },
        ],
    };
    let mut fore_marks = match t.band {
        0 => vec![Mark::Bars { from: 0.22, to: 0.62, count: 2, fill: 0.55, depth: 0.34, ink: Ink::Dark }],
        1 => vec![Mark::Band(Band::new(0.42, 0.10, Ink::Dark).sloping(0.2).soft(0.02))],
        _ => vec![Mark::Band(Band::new(0.44, 0.10, Ink::Light).sloping(0.25).rimmed(Ink::Dark, 0.02))],
    };
    fore_marks.extend(edge.clone());
    match t.tip {
        0 => {}
        1 => fore_marks.push(Mark::Spots(Spots::round(0.80, 0.22, Ink::Light).on([3, 4, 5, 6]))),
        _ => fore_marks.push(Mark::Patch { phi: -0.05, rho: 0.97, size: [0.18, 0.24], soft: 0.05, ink: Ink::Dark }),
    }
    fore_marks.push(Mark::Eyes {
        rho: 0.68,
        cells: fore_cells,
        radius: radius * shrink(fore_cells),
        rings: eye.clone(),
    });
    let mut hind_marks = edge;
    hind_marks.insert(0, Mark::Patch { phi: 0.9, rho: 0.2, size: [0.4, 0.3], soft: 0.14, ink: Ink::Flush });
    hind_marks.push(Mark::Eyes { rho: 0.60, cells: hind_cells, radius: radius * shrink(hind_cells), rings: eye });
    Species {
        body: body(&palette, Ink::Flush, Ink::Flush, Ink::Dark, Abdomen::Plain),
        fore: wing(fore, [Ink::Ground, Ink::Ground], fore_marks),
        hind: wing(hind, [Ink::Flush, Ink::Ground], hind_marks),
        palette,
        sheen: None,
    }
}
