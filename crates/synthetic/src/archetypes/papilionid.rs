//! Swallowtails, kites, apollos and birdwings.

use super::{
    body, fore_broad, fore_hooked, fore_long, fore_pointed, hind_drawn_out, hind_round, palette, varied, wing,
};
use crate::dice::Dice;
use crate::marks::{Band, Ink, Mark, Spots, cells};
use crate::outline::Tail;
use crate::species::{Abdomen, Sheen, Species, Traits};

/// Pale wings barred with black, a spotted black border, a red eyespot at the rear, tails.
pub(super) fn swallowtail(dice: &mut Dice, t: Traits) -> Species {
    let palette = palette(
        dice,
        [
            [0xF0D24A, 0xE9C23A, 0x17120E, 0xFFF2C0, 0x3F6FC4, 0xC8321E, 0xE88A1A, 0x7A2A8A],
            [0xF2E9C4, 0xE4D9A6, 0x1B1512, 0xFFFBEA, 0x4A86B8, 0xB82A2A, 0xF0A828, 0x2A6A9A],
            [0xBBD9A0, 0x9CC68A, 0x131A14, 0xEAF6D2, 0x2F8FA0, 0xD8502A, 0xF2C230, 0x8A2A5A],
        ],
        t,
    );
    let mut fore = varied(dice, fore_pointed());
    fore.scallop = dice.range(-0.01, 0.015);
    let mut hind = varied(dice, hind_drawn_out());
    hind.scallop = dice.range(0.04, 0.08);
    let (length, width) = (dice.range(0.24, 0.36), dice.range(0.022, 0.034));
    let tail = |phi: f32, share: f32, spoon: f32| Tail { phi, length: length * share, width, spoon, bend: -0.05 };
    hind.tails = match t.hind {
        0 => vec![tail(0.68, 1.0, 0.006)],
        1 => vec![tail(0.68, 0.55, 0.03)],
        _ => vec![tail(0.68, 0.9, 0.0), tail(0.82, 0.6, 0.0)],
    };
    let border = [0.10, 0.16, 0.23][usize::from(t.border)];
    let spots = |rho: f32| match t.spots {
        0 => Mark::Spots(Spots::round(rho, 0.5, Ink::Ground).stretched(0.8)),
        1 => Mark::Spots(Spots::crescents(rho, 0.8, Ink::Light).stretched(0.8)),
        _ => Mark::Band(Band::new(rho, 0.035, Ink::Ground).jagged(0.01)),
    };
    let mut fore_marks = match t.band {
        0 => vec![Mark::Bars { from: 0.16, to: 0.66, count: 4, fill: 0.52, depth: 0.62, ink: Ink::Dark }],
        1 => vec![
            Mark::Patch { phi: 0.3, rho: 0.1, size: [0.46, 0.5], soft: 0.05, ink: Ink::Dark },
            Mark::Bars { from: 0.50, to: 0.72, count: 2, fill: 0.4, depth: 0.5, ink: Ink::Dark },
        ],
        _ => vec![Mark::Stripes {
            angle: 0.35,
            spacing: 0.19,
            fill: 0.40,
            taper: 0.75,
            from: 0.12,
            to: 0.9,
            ink: Ink::Dark,
        }],
    };
    match t.tip {
        0 => {}
        1 => fore_marks.push(Mark::Patch { phi: 0.02, rho: 0.9, size: [0.24, 0.24], soft: 0.06, ink: Ink::Dark }),
        _ => fore_marks.push(Mark::Patch { phi: 0.5, rho: 0.0, size: [0.30, 0.45], soft: 0.12, ink: Ink::Dark }),
    }
    fore_marks.extend([
        Mark::Border { width: border, tip: 0.06, arch: 0.15, soft: 0.0, ink: Ink::Dark },
        spots(1.0 - 0.42 * border),
        Mark::Veins { width: 0.012, flare: 0.008, ink: Ink::Dark },
    ]);
    let hind_marks = vec![
        Mark::Band(Band::new(0.30, 0.07, Ink::Dark).spanning([-0.2, 0.6]).sloping(-0.1)),
        Mark::Border { width: 1.25 * border + 0.04, tip: 0.0, arch: -0.6, soft: 0.0, ink: Ink::Dark },
        Mark::Dusting { rho: 1.0 - 0.9 * (border + 0.05), spread: 0.07, density: 0.75, ink: Ink::Spark },
        spots(0.93),
        Mark::Eyes {
            rho: 0.80,
            cells: cells([6]),
            radius: 0.075,
            rings: vec![(1.0, Ink::Dark), (0.85, Ink::Accent), (0.4, Ink::Spark)],
        },
        Mark::Veins { width: 0.010, flare: 0.006, ink: Ink::Dark },
    ];
    Species {
        body: body(&palette, Ink::Dark, Ink::Ground, Ink::Dark, Abdomen::Striped),
        fore: wing(fore, [Ink::Flush, Ink::Ground], fore_marks),
        hind: wing(hind, [Ink::Ground, Ink::Flush], hind_marks),
        palette,
        sheen: None,
    }
}

/// Black wings with a row of windows in a bright glassy color, hooked tips, short tails.
pub(super) fn kite(dice: &mut Dice, t: Traits) -> Species {
    let palette = palette(
        dice,
        [
            [0x1C1A1A, 0x2B2622, 0x0E0C0C, 0xE8F2D0, 0x58C8B0, 0x4FC3C9, 0x9AD04A, 0xE8C83A],
            [0x241A14, 0x3A2A1C, 0x120C08, 0xF4E8C8, 0xC84A2A, 0x7AC86A, 0xF0B050, 0x58A8E0],
        ],
        t,
    );
    let mut fore = varied(dice, fore_hooked());
    fore.scallop = dice.range(0.0, 0.02);
    let mut hind = varied(dice, hind_drawn_out());
    hind.scallop = dice.range(0.05, 0.09);
    let length = dice.range(0.12, 0.2);
    hind.tails = match t.hind {
        0 => vec![],
        1 => vec![Tail { phi: 0.73, length, width: 0.035, spoon: 0.0, bend: -0.03 }],
        _ => vec![Tail { phi: 0.78, length: 2.4 * length, width: 0.02, spoon: 0.0, bend: 0.04 }],
    };
    let width = [0.12, 0.19, 0.28][usize::from(t.border)];
    let lean = dice.range(-0.35, -0.15);
    let windows = |rho: f32, slope: f32| match t.band {
        0 => Mark::Spots(Spots::round(rho, 0.82, Ink::Accent).stretched(4.2 * width).sloping(slope)),
        1 => Mark::Band(Band::new(rho, width, Ink::Accent).sloping(slope).arched(0.03)),
        _ => Mark::Rays { from: rho - 0.9 * width, to: rho + 0.9 * width, fill: 0.75, ink: Ink::Accent },
    };
    let edge = |rho: f32| match t.spots {
        0 => Mark::Spots(Spots::round(rho, 0.36, Ink::Accent).stretched(0.8)),
        1 => Mark::Spots(Spots::crescents(rho, 0.7, Ink::Light).stretched(0.7)),
        _ => Mark::Spots(Spots::round(rho + 0.03, 0.2, Ink::Light)),
    };
    let cell_bars = match t.tip {
        0 => Mark::Bars { from: 0.18, to: 0.52, count: 2, fill: 0.35, depth: 0.35, ink: Ink::Accent },
        1 => Mark::Patch { phi: 0.18, rho: 0.78, size: [0.08, 0.05], soft: 0.0, ink: Ink::Light },
        _ => Mark::Bars { from: 0.14, to: 0.60, count: 5, fill: 0.3, depth: 0.3, ink: Ink::Accent },
    };
    let fore_marks =
        vec![windows(0.60, lean), cell_bars, edge(0.88), Mark::Veins { width: 0.010, flare: 0.004, ink: Ink::Dark }];
    let hind_marks = vec![
        windows(0.46, -0.25),
        edge(0.84),
        Mark::Spots(Spots::round(0.68, 0.4, Ink::Spark).on([5, 6])),
        Mark::Veins { width: 0.010, flare: 0.004, ink: Ink::Dark },
    ];
    Species {
        body: body(&palette, Ink::Flush, Ink::Dark, Ink::Accent, Abdomen::Plain),
        fore: wing(fore, [Ink::Flush, Ink::Ground], fore_marks),
        hind: wing(hind, [Ink::Flush, Ink::Ground], hind_marks),
        palette,
        sheen: Some(Sheen { color: crate::color::Rgb::hex(0x506A78), strength: 0.12 }),
    }
}

/// Chalky, half transparent wings with black spots and red eyes.
pub(super) fn apollo(dice: &mut Dice, t: Traits) -> Species {
    let palette = palette(
        dice,
        [
            [0xF1EEE2, 0xE2DDCB, 0x25211F, 0xFFFFFF, 0x8C8878, 0xC42A22, 0xE8861E, 0xA83A6A],
            [0xF4EFCF, 0xE8DFAE, 0x2A241C, 0xFFFDF0, 0x9A9070, 0xD84A20, 0xB02838, 0xE6B022],
        ],
        t,
    );
    let mut fore = varied(dice, fore_broad());
    fore.roundness = 22;
    let hind = varied(dice, hind_round());
    let clear = dice.range(0.16, 0.24);
    let radius = [0.055, 0.075, 0.095][usize::from(t.hind)];
    let rings = match t.spots {
        0 => vec![(1.0, Ink::Dark), (0.74, Ink::Accent)],
        1 => vec![(1.0, Ink::Dark), (0.78, Ink::Accent), (0.34, Ink::Light)],
        _ => vec![(1.0, Ink::Dark)],
    };
    let mut fore_marks = vec![
        Mark::Patch { phi: 0.22, rho: 0.34, size: [0.06, 0.085], soft: 0.02, ink: Ink::Dark },
        Mark::Patch { phi: 0.20, rho: 0.58, size: [0.05, 0.085], soft: 0.02, ink: Ink::Dark },
        Mark::Patch { phi: 0.80, rho: 0.55, size: [0.05, 0.06], soft: 0.02, ink: Ink::Dark },
        Mark::Dusting { rho: 0.0, spread: 0.22, density: 0.7, ink: Ink::Dark },
    ];
    match t.border {
        0 => fore_marks.push(Mark::Border { width: 0.5 * clear, tip: 0.05, arch: 0.4, soft: 0.03, ink: Ink::Spark }),
        1 => fore_marks.extend([
            Mark::Border { width: clear, tip: 0.05, arch: 0.3, soft: 0.03, ink: Ink::Spark },
            Mark::Spots(Spots::round(0.90, 0.66, Ink::Light).stretched(0.7)),
        ]),
        _ => fore_marks.push(Mark::Border { width: 0.06, tip: 0.02, arch: 0.2, soft: 0.0, ink: Ink::Dark }),
    }
    match t.band {
        0 => {}
        1 => fore_marks.push(Mark::Band(Band::new(0.76, 0.045, Ink::Spark).jagged(0.01).arched(-0.05))),
        _ => {
            fore_marks.push(Mark::Band(Band::new(0.70, 0.08, Ink::Dark).jagged(0.02).spanning([-0.2, 0.9]).soft(0.02)))
        }
    }
    match t.tip {
        0 => {}
        1 => fore_marks.push(Mark::Eyes { rho: 0.72, cells: cells([0, 1]), radius: 0.045, rings: rings.clone() }),
        _ => fore_marks.push(Mark::Patch { phi: 0.0, rho: 0.95, size: [0.26, 0.22], soft: 0.10, ink: Ink::Spark }),
    }
    fore_marks.push(Mark::Veins { width: 0.009, flare: 0.006, ink: Ink::Spark });
    let hind_marks = vec![
        Mark::Patch { phi: 1.0, rho: 0.3, size: [0.34, 0.14], soft: 0.10, ink: Ink::Dark },
        Mark::Eyes { rho: 0.54, cells: cells([2, 5]), radius, rings },
        Mark::Border { width: 0.04, tip: 0.0, arch: 0.3, soft: 0.03, ink: Ink::Spark },
        Mark::Spots(Spots::crescents(0.78, 0.5, Ink::Spark).stretched(0.7).on([3, 4, 5, 6])),
        Mark::Veins { width: 0.009, flare: 0.004, ink: Ink::Spark },
    ];
    Species {
        body: body(&palette, Ink::Spark, Ink::Dark, Ink::Light, Abdomen::Ringed),
        fore: wing(fore, [Ink::Ground, Ink::Flush], fore_marks),
        hind: wing(hind, [Ink::Flush, Ink::Ground], hind_marks),
        palette,
        sheen: None,
    }
}

/// Long black forewings lit by a bright stripe, small golden hindwings.
pub(super) fn birdwing(dice: &mut Dice, t: Traits) -> Species {
    let palette = palette(
        dice,
        [
            [0x14130F, 0x22201A, 0x0C0B09, 0xD8D0B0, 0xE8B820, 0x2FA84A, 0x2A9AB8, 0xE07A1E],
            [0x17130F, 0x2C241C, 0x0D0A08, 0xE4DCC0, 0xF0D050, 0x58B83A, 0xD8A81A, 0x3A78C8],
        ],
        t,
    );
    let mut fore = varied(dice, fore_long());
    fore.margin = fore.margin.map(|radius| 1.02 * radius);
    let mut hind = varied(dice, hind_round());
    hind.scallop = dice.range(0.02, 0.06);
    let fill = [0.40, 0.62, 0.85][usize::from(t.border)];
    let mut fore_marks = match t.band {
        0 => vec![Mark::Rays { from: 0.40, to: 0.97, fill, ink: Ink::Accent }],
        1 => vec![Mark::Band(Band::new(0.55, 0.9 * fill + 0.2, Ink::Accent).spanning([0.1, 0.42]).soft(0.03))],
        _ => vec![
            Mark::Band(Band::new(0.5, 0.75, Ink::Accent).spanning([-0.3, 0.2]).soft(0.02)),
            Mark::Band(Band::new(0.5, 0.3 + 0.5 * fill, Ink::Accent).spanning([0.82, 1.3]).soft(0.02)),
        ],
    };
    match t.tip {
        0 => {}
        1 => fore_marks.push(Mark::Spots(Spots::round(0.86, 0.4, Ink::Light).stretched(1.4).on([1, 2, 3, 4]))),
        _ => fore_marks.push(Mark::Patch { phi: 0.0, rho: 0.12, size: [0.22, 0.2], soft: 0.05, ink: Ink::Spark }),
    }
    fore_marks.push(Mark::Veins { width: 0.016, flare: 0.0, ink: Ink::Dark });
    let mut hind_marks = match t.hind {
        0 => vec![Mark::Band(Band::new(0.48, 0.62, Ink::Spark).arched(0.06))],
        1 => vec![Mark::Rays { from: 0.14, to: 0.92, fill: 0.92, ink: Ink::Spark }],
        _ => vec![Mark::Band(Band::new(0.45, 0.64, Ink::Accent).arched(0.04))],
    };
    match t.spots {
        0 => {}
        1 => hind_marks.push(Mark::Spots(Spots::round(0.66, 0.5, Ink::Dark))),
        _ => hind_marks.push(Mark::Spots(Spots::round(0.90, 0.45, Ink::Spark))),
    }
    hind_marks.push(Mark::Veins { width: 0.014, flare: 0.0, ink: Ink::Dark });
    let sheen = palette.get(Ink::Accent);
    Species {
        body: body(&palette, Ink::Dark, Ink::Spark, Ink::Dark, Abdomen::Ringed),
        fore: wing(fore, [Ink::Flush, Ink::Ground], fore_marks),
        hind: wing(hind, [Ink::Ground, Ink::Ground], hind_marks),
        palette,
        sheen: Some(Sheen { color: sheen, strength: 0.14 }),
    }
}
