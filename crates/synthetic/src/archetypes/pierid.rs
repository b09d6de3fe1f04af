//! Whites, sulphurs and orange tips.

use super::{body, fore_broad, fore_pointed, hind_round, palette, varied, wing};
use crate::dice::Dice;
use crate::marks::{Band, Ink, Mark, Spots, cells};
use crate::species::{Abdomen, Species, Traits};

/// Plain pale wings with a dark tip and a few dark spots.
pub(super) fn white(dice: &mut Dice, t: Traits) -> Species {
    let palette = palette(
        dice,
        [
            [0xF6F3E6, 0xEAE6CE, 0x2E2B28, 0xFFFFFF, 0x9AA46A, 0x2E2B28, 0x6A6A40, 0x8A5A2A],
            [0xF3E06A, 0xEAC83A, 0x3A2A1A, 0xFFF8C8, 0xD88A2A, 0x5A3A1A, 0xD06A1A, 0x2A2420],
            [0xDFEBC0, 0xC8DCA0, 0x2A3024, 0xF8FFE0, 0xE0B83A, 0x3A4A2A, 0xC88A2A, 0x6A3A4A],
        ],
        t,
    );
    let fore = varied(dice, fore_broad());
    let hind = varied(dice, hind_round());
    let spot = dice.range(0.045, 0.062);
    let mut fore_marks = vec![Mark::Dusting { rho: 0.0, spread: 0.2, density: 0.6, ink: Ink::Dark }];
    match t.tip {
        0 => fore_marks.push(Mark::Patch { phi: -0.05, rho: 0.98, size: [0.30, 0.34], soft: 0.05, ink: Ink::Dark }),
        1 => fore_marks.push(Mark::Patch { phi: 0.02, rho: 1.0, size: [0.14, 0.24], soft: 0.06, ink: Ink::Accent }),
        _ => fore_marks.push(Mark::Spots(Spots::arrows(0.95, 0.7, Ink::Dark).stretched(1.6).on([0, 1, 2, 3, 4]))),
    }
    match t.spots {
        0 => fore_marks.push(Mark::Eyes { rho: 0.62, cells: cells([2]), radius: spot, rings: vec![(1.0, Ink::Dark)] }),
        1 => {
            fore_marks.push(Mark::Eyes { rho: 0.60, cells: cells([2, 5]), radius: spot, rings: vec![(1.0, Ink::Dark)] })
        }
        _ => fore_marks.push(Mark::Patch { phi: 0.25, rho: 0.48, size: [0.05, 0.07], soft: 0.01, ink: Ink::Accent }),
    }
    let border = match t.border {
        0 => Mark::Border { width: 0.02, tip: 0.02, arch: 0.0, soft: 0.02, ink: Ink::Dark },
        1 => Mark::Border { width: 0.11, tip: 0.10, arch: 0.25, soft: 0.0, ink: Ink::Dark },
        _ => Mark::Spots(Spots::round(0.97, 0.4, Ink::Dark)),
    };
    fore_marks.push(border.clone());
    let veins = match t.band {
        0 => Mark::Veins { width: 0.004, flare: 0.004, ink: Ink::Spark },
        1 => Mark::Veins { width: 0.012, flare: 0.026, ink: Ink::Dark },
        _ => Mark::Band(Band::new(0.42, 0.30, Ink::Spark).soft(0.05).sloping(0.1)),
    };
    fore_marks.push(veins.clone());
    let mut hind_marks =
        vec![Mark::Patch { phi: 1.0, rho: 0.2, size: [0.35, 0.16], soft: 0.12, ink: Ink::Spark }, veins, border];
    match t.hind {
        0 => {}
        1 => hind_marks.push(Mark::Eyes {
            rho: 0.55,
            cells: cells([3]),
            radius: 0.9 * spot,
            rings: vec![(1.0, Ink::Accent)],
        }),
        _ => hind_marks.push(Mark::Patch { phi: 0.6, rho: 0.95, size: [0.22, 0.5], soft: 0.14, ink: Ink::Spark }),
    }
    Species {
        body: body(&palette, Ink::Spark, Ink::Flush, Ink::Dark, Abdomen::Plain),
        fore: wing(fore, [Ink::Flush, Ink::Ground], fore_marks),
        hind: wing(hind, [Ink::Flush, Ink::Ground], hind_marks),
        palette,
        sheen: None,
    }
}

/// White or yellow wings dipped in a bright color at the tips.
pub(super) fn orange_tip(dice: &mut Dice, t: Traits) -> Species {
    let palette = palette(
        dice,
        [
            [0xF7F4E8, 0xE6E6D2, 0x2A2624, 0xFFFFFF, 0xA8B080, 0xF08A1E, 0xD8342A, 0xB04AB0],
            [0xF4EAB0, 0xEBDC8A, 0x33261C, 0xFFFBE0, 0xC0A050, 0xE8602A, 0xF0A020, 0xA83058],
        ],
        t,
    );
    let shape = if dice.chance(0.5) { fore_pointed() } else { fore_broad() };
    let fore = varied(dice, shape);
    let hind = varied(dice, hind_round());
    let depth = [0.24, 0.36, 0.48][usize::from(t.tip)];
    let mut fore_marks = vec![
        Mark::Dusting { rho: 0.0, spread: 0.22, density: 0.75, ink: Ink::Dark },
        Mark::Patch { phi: 0.12, rho: 1.0, size: [depth, 0.52], soft: 0.03, ink: Ink::Accent },
    ];
    match t.border {
        0 => fore_marks.push(Mark::Border { width: 0.015, tip: 0.14, arch: 0.4, soft: 0.02, ink: Ink::Dark }),
        1 => fore_marks.push(Mark::Spots(Spots::arrows(0.95, 0.6, Ink::Dark).stretched(1.2))),
        _ => fore_marks.push(Mark::Border { width: 0.05, tip: 0.04, arch: 0.1, soft: 0.0, ink: Ink::Dark }),
    }
    match t.spots {
        0 => fore_marks.push(Mark::Patch { phi: 0.26, rho: 0.5, size: [0.03, 0.045], soft: 0.0, ink: Ink::Dark }),
        1 => fore_marks.push(Mark::Patch { phi: 0.26, rho: 0.5, size: [0.065, 0.055], soft: 0.0, ink: Ink::Dark }),
        _ => fore_marks.push(Mark::Spots(Spots::round(0.82, 0.4, Ink::Dark).on([1, 2, 3, 4]))),
    }
    match t.band {
        0 => {}
        1 => fore_marks
            .push(Mark::Band(Band::new(1.0 - 1.15 * depth, 0.05, Ink::Dark).sloping(-0.15).spanning([-0.2, 0.8]))),
        _ => fore_marks.push(Mark::Veins { width: 0.008, flare: 0.014, ink: Ink::Dark }),
    }
    let mut hind_marks = vec![Mark::Patch { phi: 1.0, rho: 0.2, size: [0.4, 0.18], soft: 0.14, ink: Ink::Spark }];
    match t.hind {
        0 => hind_marks.push(Mark::Dusting { rho: 0.6, spread: 0.3, density: 0.33, ink: Ink::Spark }),
        1 => hind_marks.push(Mark::Spots(Spots::round(0.96, 0.45, Ink::Dark))),
        _ => hind_marks.push(Mark::Border { width: 0.10, tip: 0.0, arch: 0.3, soft: 0.04, ink: Ink::Accent }),
    }
    hind_marks.push(Mark::Veins { width: 0.004, flare: 0.003, ink: Ink::Spark });
    Species {
        body: body(&palette, Ink::Spark, Ink::Dark, Ink::Light, Abdomen::Plain),
        fore: wing(fore, [Ink::Flush, Ink::Ground], fore_marks),
        hind: wing(hind, [Ink::Flush, Ink::Ground], hind_marks),
        palette,
        sheen: None,
    }
}
