//! Why two pictures are similar, as a page, a picture or a program can show it.
//!
//! The numbers come from a model; here they get their place on the pictures, and those that say most are picked out.

mod draw;
mod page;

use kinsight_data::Preprocess;
use serde::{Deserialize, Serialize};

pub use draw::{DrawError, draw_png};
pub use page::{ProxyShare, explanation_page};

/// Pairs of patches that are picked out.
const PAIRS: usize = 8;
/// Counterparts listed for each patch.
const LINKS: usize = 4;

/// Why two pictures are similar.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// Cosine similarity of the embeddings.
    pub similarity: f64,
    /// The part of it that pairs of patches give.
    pub from_patches: f64,
    /// The part that no pair of patches gives: special tokens, prompts, biases.
    pub rest: f64,
    /// Patches along one side of what the model sees.
    pub grid: usize,
    /// The first picture.
    pub first: Side,
    /// The second picture.
    pub second: Side,
    /// The pairs of patches that give most, no patch in two of them.
    pub pairs: Vec<Pair>,
    /// For each patch of the first picture, those of the second that it has most in common with: index and share of the
    /// similarity.
    pub links: Vec<Vec<(usize, f32)>>,
}

/// One of the two pictures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Side {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The square that the model sees, in shares of the picture's sides.
    pub view: View,
    /// Attention of the pooled token in the last block: the share of each patch, row by row.
    pub attention: Vec<f32>,
    /// Part of the similarity that each patch gives, with all of the other picture; may be negative.
    pub evidence: Vec<f32>,
    /// What each prompt of the last block with prompts looks at: the share of each patch; empty without prompts.
    pub prompts: Vec<Vec<f32>>,
}

/// A rectangle in shares of a picture's sides; parts of it lie outside where the model sees a margin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Left edge.
    pub left: f64,
    /// Upper edge.
    pub top: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

/// Two patches that answer to each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Patch of the first picture, row by row.
    pub first: usize,
    /// Patch of the second picture.
    pub second: usize,
    /// Part of the similarity that they give.
    pub share: f32,
}

/// What a model says of its similarity of two pictures.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Cosine similarity of the embeddings.
    pub similarity: f64,
    /// The part of it that no pair of patches gives.
    pub rest: f64,
    /// Patches along one side of what the model sees.
    pub grid: usize,
    /// The part that each pair of patches gives, `[n, n]` with `n = grid * grid`.
    pub patches: Vec<f32>,
    /// For each picture the part that each of its patches gives, `[n]`.
    pub by_patch: [Vec<f32>; 2],
    /// For each picture the attention of the pooled token in the last block, `[n]`.
    pub attention: [Vec<f32>; 2],
    /// For each picture what each prompt looks at, `[P][n]`.
    pub prompts: [Vec<Vec<f32>>; 2],
}

impl Explanation {
    /// Places `evidence` on pictures of the given widths and heights, which the model saw through `preprocess`.
    pub fn new(evidence: Evidence, sizes: [(u32, u32); 2], preprocess: &Preprocess) -> Self {
        let (pairs, links) = (strongest_pairs(&evidence), links(&evidence));
        let Evidence { similarity, rest, grid, by_patch, attention, prompts, .. } = evidence;
        let side = |(width, height): (u32, u32), evidence, attention, prompts| Side {
            width,
            height,
            view: View::of(width, height, preprocess),
            attention,
            evidence,
            prompts,
        };
        let [evidence_first, evidence_second] = by_patch;
        let [attention_first, attention_second] = attention;
        let [prompts_first, prompts_second] = prompts;
        Self {
            similarity,
            from_patches: similarity - rest,
            rest,
            grid,
            first: side(sizes[0], evidence_first, attention_first, prompts_first),
            second: side(sizes[1], evidence_second, attention_second, prompts_second),
            pairs,
            links,
        }
    }
}

impl View {
    /// The part of a picture that the evaluation transform keeps: shorter side resized, center cropped.
    fn of(width: u32, height: u32, preprocess: &Preprocess) -> Self {
        let seen = f64::from(preprocess.input_size_px) / f64::from(preprocess.resize_size_px);
        let short = f64::from(width.min(height));
        let share = |side: u32| seen * short / f64::from(side);
        let (width, height) = (share(width), share(height));
        Self { left: (1.0 - width) / 2.0, top: (1.0 - height) / 2.0, width, height }
    }
}

/// Greedily the largest pairs, each patch at most once: the two best often differ by one patch alone.
fn strongest_pairs(evidence: &Evidence) -> Vec<Pair> {
    let count = evidence.grid * evidence.grid;
    let mut order: Vec<usize> = (0..evidence.patches.len()).filter(|at| evidence.patches[*at] > 0.0).collect();
    order.sort_by(|a, b| evidence.patches[*b].total_cmp(&evidence.patches[*a]).then(a.cmp(b)));
    let (mut used_first, mut used_second) = (vec![false; count], vec![false; count]);
    let mut pairs = Vec::new();
    for at in order {
        let (first, second) = (at / count, at % count);
        if used_first[first] || used_second[second] {
            continue;
        }
        (used_first[first], used_second[second]) = (true, true);
        pairs.push(Pair { first, second, share: evidence.patches[at] });
        if pairs.len() == PAIRS {
            break;
        }
    }
    pairs
}

fn links(evidence: &Evidence) -> Vec<Vec<(usize, f32)>> {
    let count = evidence.grid * evidence.grid;
    let best_of = |row: &[f32]| {
        let mut order: Vec<usize> = (0..row.len()).filter(|j| row[*j] > 0.0).collect();
        order.sort_by(|a, b| row[*b].total_cmp(&row[*a]).then(a.cmp(b)));
        order.into_iter().take(LINKS).map(|j| (j, row[j])).collect()
    };
    evidence.patches.chunks_exact(count.max(1)).map(best_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(patches: Vec<f32>) -> Evidence {
        Evidence { similarity: 0.9, rest: 0.1, grid: 2, patches, ..Evidence::default() }
    }

    #[test]
    fn each_patch_is_in_one_pair_and_negative_shares_in_none() {
        let mut patches = vec![-0.1; 16];
        patches[1] = 0.5; // 0 with 1
        patches[2] = 0.4; // 0 with 2: patch 0 is taken
        patches[4 + 1] = 0.3; // 1 with 1: taken on the other side
        patches[4 * 3 + 2] = 0.2; // 3 with 2
        let found = strongest_pairs(&evidence(patches.clone()));
        let expected = [Pair { first: 0, second: 1, share: 0.5 }, Pair { first: 3, second: 2, share: 0.2 }];
        assert_eq!(found, expected);
        assert_eq!(links(&evidence(patches)), [vec![(1, 0.5), (2, 0.4)], vec![(1, 0.3)], vec![], vec![(2, 0.2)]]);
    }

    #[test]
    fn the_view_is_the_center_of_the_picture() {
        let preprocess = Preprocess { input_size_px: 224, resize_size_px: 256, ..Preprocess::default() };
        let view = View::of(800, 400, &preprocess);
        assert_eq!(view, View { left: 0.28125, top: 0.0625, width: 0.4375, height: 0.875 });
        let margin = View::of(10, 10, &Preprocess { input_size_px: 8, resize_size_px: 4, ..preprocess });
        assert_eq!(margin, View { left: -0.5, top: -0.5, width: 2.0, height: 2.0 });
    }
}
