//! Browns: satyrs and ringlets.

use super::{body, fore_broad, hind_round, palette, varied, wing};
use crate::dice::Dice;
use crate::marks::{Band, Ink, Mark, Spots, cells};
use crate::species::{Abdomen, Species, Traits};

/// Brown wings with rows of small eyespots, often on a paler band.
pub(super) fn ringlet(dice: &mut Dice, t: Traits) -> Species {
    let palette = palette(
        dice,
        [
            [0x6A4A32, 0x55382A, 0x1C1410, 0xF8F2E0, 0xA8845A, 0xC8762A, 0xE0C080, 0x9A4020],
            [0x8A6A48, 0x6E5036, 0x20180F, 0xFFFAEA, 0xC8A878, 0xE09A3A, 0xF0DCA8, 0xB85A28],
            [0x4A3C38, 0x3A2E2C, 0x120E0D, 0xF4F0EA, 0x7A6A62, 0xB8482A, 0xD8A870, 0xC8C0B0],
        ],
        t,
    );
    let mut fore = varied(dice, fore_broad());
    fore.roundness = 20;
    let mut hind = varied(dice, hind_round());
    hind.scallop = dice.range(0.0, 0.035);
    let radius = dice.range(0.045, 0.060);
    let eye = match t.spots {
        0 => vec![(1.0, Ink::Accent), (0.68, Ink::Dark), (0.28, Ink::Light)],
        1 => vec![(1.0, Ink::Dark), (0.40, Ink::Light)],
        _ => vec![(1.0, Ink::Light), (0.80, Ink::Accent), (0.60, Ink::Dark), (0.24, Ink::Light)],
    };
    let fore_cells = [cells([1]), cells([1, 4]), cells([1, 2, 3, 4, 5])][usize::from(t.tip)];
    let hind_cells = [cells([5]), cells([3, 5]), cells([2, 3, 4, 5, 6])][usize::from(t.hind)];
    let band = |rho: f32| match t.band {
        0 => vec![],
        1 => vec![Mark::Band(Band::new(rho, 0.22, Ink::Accent).jagged(0.015).soft(0.015))],
        _ => vec![
            Mark::Band(Band::new(rho - 0.16, 0.02, Ink::Dark).jagged(0.03).sloping(0.05)),
            Mark::Patch { phi: 0.4, rho, size: [0.16, 0.34], soft: 0.10, ink: Ink::Spark },
        ],
    };
    let edge = match t.border {
        0 => vec![Mark::Fringe { width: 0.025, ink: Ink::Spark, other: Ink::Spark }],
        1 => vec![
            Mark::Band(Band::new(0.93, 0.02, Ink::Dark).arched(-0.02)),
            Mark::Border { width: 0.02, tip: 0.0, arch: 0.0, soft: 0.0, ink: Ink::Dark },
        ],
        _ => vec![
            Mark::Border { width: 0.09, tip: 0.01, arch: 0.2, soft: 0.02, ink: Ink::Dark },
            Mark::Fringe { width: 0.03, ink: Ink::Light, other: Ink::Dark },
        ],
    };
    let big = if fore_cells.count_ones() == 1 { 1.5 } else { 1.0 };
    let mut fore_marks = band(0.70);
    fore_marks.extend(edge.clone());
    fore_marks.push(Mark::Eyes { rho: 0.71, cells: fore_cells, radius: radius * big, rings: eye.clone() });
    let mut hind_marks = vec![Mark::Dusting { rho: 0.1, spread: 0.3, density: 0.4, ink: Ink::Dark }];
    hind_marks.extend(band(0.66));
    hind_marks.extend(edge);
    hind_marks.push(Mark::Eyes { rho: 0.70, cells: hind_cells, radius, rings: eye });
    for marks in [&mut fore_marks, &mut hind_marks] {
        marks.push(Mark::Veins { width: 0.005, flare: 0.0, ink: Ink::Flush });
        marks.push(Mark::Spots(Spots::bars(0.97, 0.3, Ink::Flush).stretched(0.5)));
    }
    Species {
        body: body(&palette, Ink::Ground, Ink::Flush, Ink::Dark, Abdomen::Plain),
        fore: wing(fore, [Ink::Flush, Ink::Ground], fore_marks),
        hind: wing(hind, [Ink::Flush, Ink::Ground], hind_marks),
        palette,
        sheen: None,
    }
}
