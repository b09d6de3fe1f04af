//! What wing patterns are made of, after the nymphalid ground plan: a wing is a fan of cells between
//! veins, and its pattern a stack of marks (bands, rows of spots, eyespots, borders) that repeat from
//! cell to cell. A species is a list of [`Mark`]s; [`super::pattern`] lays them out on a wing.

use super::color::Rgb;

/// A color by its role, so that species of one genus can share marks and differ in palette.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// The main color of the wing.
    Ground,
    /// Its second shade, towards the body or the margin.
    Flush,
    Dark,
    Light,
    Accent,
    Spark,
}

/// The colors of a species, by [`Ink`].
#[derive(Debug, Clone)]
pub(super) struct Palette(pub [Rgb; 6]);

impl Palette {
    pub fn get(&self, ink: Ink) -> Rgb {
        self.0[ink as usize]
    }
}

/// The cells that carry a mark, one bit a cell from the tip backwards.
pub(super) type Cells = u16;

/// The set of the given cells.
pub(super) fn cells<const N: usize>(numbers: [u32; N]) -> Cells {
    numbers.iter().fold(0, |set, n| set | 1 << n)
}

/// One element of a pattern. Places are `rho` (0 hinge, 1 margin) and `phi` (0 tip, 1 rear corner),
/// sizes are wing units unless they say otherwise.
#[derive(Debug, Clone)]
pub(super) enum Mark {
    /// A band across the cells.
    Band(Band),
    /// A border along the outer margin, `width` wide at the rear corner and `width + tip` at the tip,
    /// its inner edge arched in each cell.
    Border { width: f32, tip: f32, arch: f32, soft: f32, ink: Ink },
    /// A row of spots, one a cell.
    Spots(Spots),
    /// Eyespots of `radius`: rings from the outside in, each with its share of the radius.
    Eyes { rho: f32, cells: Cells, radius: f32, rings: Vec<(f32, Ink)> },
    /// A free round patch, for tips, flushes and discal spots. `size` is the radius along and across the ray.
    Patch { phi: f32, rho: f32, size: [f32; 2], soft: f32, ink: Ink },
    /// Bars across the leading half of the inner wing (the discal cell).
    Bars { from: f32, to: f32, count: u32, fill: f32, depth: f32, ink: Ink },
    /// Parallel stripes across the whole wing, at `angle` to the body axis, thinning backwards.
    Stripes { angle: f32, spacing: f32, fill: f32, taper: f32, from: f32, to: f32, ink: Ink },
    /// Rays that follow the cells outwards.
    Rays { from: f32, to: f32, fill: f32, ink: Ink },
    /// Veins, `width` at the hinge, `flare` wider at the margin; they frame the discal cell and fan out from it.
    Veins { width: f32, flare: f32, ink: Ink },
    /// Loose scales of another color, densest at `rho`.
    Dusting { rho: f32, spread: f32, density: f32, ink: Ink },
    /// The fringe of hairs on the margin; chequered where `other` differs.
    Fringe { width: f32, ink: Ink, other: Ink },
    /// Scales missing: the wing lets the background through from the hinge out to `to`.
    Glass { to: f32, opacity: f32 },
}

/// A band across the cells.
#[derive(Debug, Clone)]
pub(super) struct Band {
    /// Its middle, at the middle of the wing, and how much further out it lies at the rear corner than at the tip.
    pub rho: f32,
    pub slope: f32,
    /// In `rho`.
    pub width: f32,
    /// Arch within each cell and offset from cell to cell, in `rho`.
    pub arch: f32,
    pub jag: f32,
    /// Part of the margin it spans, in `phi`.
    pub span: [f32; 2],
    pub soft: f32,
    pub ink: Ink,
    /// Outline of the band and its width.
    pub rim: Option<(Ink, f32)>,
}

impl Band {
    /// A straight band over the whole wing.
    pub fn new(rho: f32, width: f32, ink: Ink) -> Self {
        Self { rho, slope: 0.0, width, arch: 0.0, jag: 0.0, span: [-0.5, 1.5], soft: 0.0, ink, rim: None }
    }

    pub fn sloping(self, slope: f32) -> Self {
        Self { slope, ..self }
    }

    pub fn arched(self, arch: f32) -> Self {
        Self { arch, ..self }
    }

    pub fn jagged(self, jag: f32) -> Self {
        Self { jag, ..self }
    }

    pub fn spanning(self, span: [f32; 2]) -> Self {
        Self { span, ..self }
    }

    pub fn soft(self, soft: f32) -> Self {
        Self { soft, ..self }
    }

    pub fn rimmed(self, ink: Ink, width: f32) -> Self {
        Self { rim: Some((ink, width)), ..self }
    }
}

/// A row of spots, one a cell.
#[derive(Debug, Clone)]
pub(super) struct Spots {
    pub shape: SpotShape,
    /// As of a [`Band`].
    pub rho: f32,
    pub slope: f32,
    /// Radius as a share of the half width of the cell, and how much longer the spot is along the ray.
    pub size: f32,
    pub stretch: f32,
    pub cells: Cells,
    pub ink: Ink,
}

/// The outline of a spot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum SpotShape {
    Round,
    /// A crescent, open outwards.
    Crescent,
    /// An arrowhead that points inwards.
    Arrow,
    /// A bar across the cell.
    Bar,
}

impl Spots {
    fn new(shape: SpotShape, rho: f32, size: f32, ink: Ink) -> Self {
        Self { shape, rho, slope: 0.0, size, stretch: 1.0, cells: Cells::MAX, ink }
    }

    pub fn round(rho: f32, size: f32, ink: Ink) -> Self {
        Self::new(SpotShape::Round, rho, size, ink)
    }

    pub fn crescents(rho: f32, size: f32, ink: Ink) -> Self {
        Self::new(SpotShape::Crescent, rho, size, ink)
    }

    pub fn arrows(rho: f32, size: f32, ink: Ink) -> Self {
        Self::new(SpotShape::Arrow, rho, size, ink)
    }

    pub fn bars(rho: f32, size: f32, ink: Ink) -> Self {
        Self::new(SpotShape::Bar, rho, size, ink)
    }

    pub fn stretched(self, stretch: f32) -> Self {
        Self { stretch, ..self }
    }

    pub fn sloping(self, slope: f32) -> Self {
        Self { slope, ..self }
    }

    /// In the given cells only.
    pub fn on<const N: usize>(self, numbers: [u32; N]) -> Self {
        Self { cells: cells(numbers), ..self }
    }
}
