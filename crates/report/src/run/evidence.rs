//! Why an answer was found: where the model looked, and which patch of the query speaks for which of the answer.
//!
//! What matters stays bright, the rest is dimmed. The maps that hold for the whole pair are drawn into the page; with
//! the script a patch under the pointer shows its counterpart, from a matrix of bytes kept with the pair.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use super::model::ExplainedPair;
use super::retrieval::sign;
use crate::explanation::Evidence;
use crate::frame::Section;
use crate::number::{Fixed, Share};
use crate::pictures::{Picture, PictureStore};

/// Patches along a side that are shown; finer grids are summed.
const MAX_GRID: usize = 16;

pub(super) fn section<'a>(explanations: &'a [ExplainedPair], pictures: &mut PictureStore<'a>) -> Option<Section> {
    let mode = |name: &str, mode: &str, on: bool| {
        html! {
            button.plain.on[on] type="button" role="radio" aria-checked=(on) data-mode=(mode) { (name) }
        }
    };
    let body = html! {
        p.quiet.note {
            "Queries and their nearest image. Bright patches carry the similarity; the rest is dimmed. "
            span.scripted { "Hover over a patch to see what it matches in the other image." }
        }
        div.choice.scripted role="radiogroup" aria-label="What is bright" {
            (mode("Evidence", "evidence", true)) (mode("Attention", "attention", false)) (mode("Images", "plain", false))
        }
        div.whys {
            @for explanation in explanations.iter().filter(|explanation| explanation.grid > 0) { (pair(explanation, pictures)) }
        }
        p.quiet.note {
            "Evidence: the cosine similarity written as a sum over pairs of patches, following the pooled token with its attention "
            "and gates held fixed; what special tokens, prompts and biases add is stated as the rest. Attention: what the pooled "
            "token reads in the last block, heads averaged."
        }
    };
    (!explanations.is_empty()).then_some(Section { id: "why", heading: "Why it finds them", body })
}

fn pair<'a>(explanation: &'a ExplainedPair, pictures: &mut PictureStore<'a>) -> Markup {
    let ExplainedPair { grid, correct, similarity, rest, prompt_share, .. } = *explanation;
    let scale = explanation.evidence.iter().fold(0.0_f32, |largest, part| largest.max(part.abs()));
    let attention = relative(&explanation.attention_query).chain(relative(&explanation.attention_answer));
    let attention: Vec<u8> = attention.map(|share| (share * 255.0) as u8).collect();
    html! {
        article.why data-grid=(grid) data-scale=(Fixed(f64::from(scale), 6))
            data-evidence=(STANDARD.encode(signed_bytes(&explanation.evidence, scale)))
            data-attention=(STANDARD.encode(attention)) {
            div.pair {
                (view("Query", &explanation.query, &explanation.from_query, grid, pictures))
                (view("Nearest image", &explanation.answer, &explanation.from_answer, grid, pictures))
            }
            p.(if correct { "right" } else { "wrong" }).said {
                (sign(correct, "14")) " "
                (if correct { "Same class" } else { "Another class" }) ", similarity " (Fixed(similarity, 2))
            }
            p.quiet.parts {
                (Fixed(similarity - rest, 2)) " from pairs of patches, " (Fixed(rest, 2)) " from the rest"
                @if prompt_share > 0.0 { "; prompts take " (Share(prompt_share)) " of the query's attention" }
            }
        }
    }
}

fn view<'a>(what: &str, picture: &'a Picture, heat: &[f32], grid: usize, pictures: &mut PictureStore<'a>) -> Markup {
    let largest = heat.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let dimmed = |part: f32| {
        let bright = if part.is_finite() { f64::from((part / largest).clamp(0.0, 1.0)).sqrt() } else { 0.0 };
        (1.0 - bright) * 0.8
    };
    html! {
        figure {
            div.view {
                (pictures.show(picture))
                svg.veil viewBox={ "0 0 " (grid) " " (grid) } preserveAspectRatio="none" aria-hidden="true" {
                    @for (place, part) in heat.iter().enumerate().take(grid * grid) {
                        rect x=(place % grid) y=(place / grid) width="1" height="1" fill-opacity=(Fixed(dimmed(*part), 2)) {}
                    }
                }
            }
            figcaption { span.sub { (what) } span.name { (picture.label) } }
        }
    }
}

/// Parts of the similarity over the largest, as signed bytes.
fn signed_bytes(parts: &[f32], scale: f32) -> Vec<u8> {
    let scale = if scale > 0.0 { scale } else { 1.0 };
    parts.iter().map(|part| ((part / scale).clamp(-1.0, 1.0) * 127.0).round() as i8 as u8).collect()
}

fn relative(shares: &[f32]) -> impl Iterator<Item = f32> + '_ {
    let largest = shares.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    shares.iter().map(move |share| (share / largest).clamp(0.0, 1.0))
}

impl ExplainedPair {
    /// A query and its answer, on a grid coarse enough for a page.
    pub fn new([query, answer]: [Picture; 2], evidence: &Evidence, prompt_share: f64, correct: bool) -> Self {
        let coarse = Coarse::of(evidence.grid);
        Self {
            query,
            answer,
            correct,
            similarity: evidence.similarity,
            rest: evidence.rest,
            grid: coarse.grid,
            evidence: coarse.pairs(&evidence.patches),
            from_query: coarse.sums(&evidence.by_patch[0]),
            from_answer: coarse.sums(&evidence.by_patch[1]),
            attention_query: coarse.sums(&evidence.attention[0]),
            attention_answer: coarse.sums(&evidence.attention[1]),
            prompt_share,
        }
    }
}

/// Sums neighboring patches, so that a fine grid does not make a large page. Parts of a similarity add up.
struct Coarse {
    fine: usize,
    grid: usize,
}

impl Coarse {
    fn of(fine: usize) -> Self {
        let factor = fine.div_ceil(MAX_GRID).max(1);
        Self { fine, grid: fine.div_ceil(factor) }
    }

    fn cell(&self, patch: usize) -> usize {
        let factor = self.fine.div_ceil(self.grid.max(1)).max(1);
        patch / self.fine / factor * self.grid + patch % self.fine / factor
    }

    fn sums(&self, parts: &[f32]) -> Vec<f32> {
        let mut sums = vec![0.0; self.grid * self.grid];
        parts.iter().enumerate().for_each(|(patch, part)| sums[self.cell(patch)] += part);
        sums
    }

    fn pairs(&self, parts: &[f32]) -> Vec<f32> {
        let (fine, cells) = (self.fine * self.fine, self.grid * self.grid);
        let mut sums = vec![0.0; cells * cells];
        for (place, part) in parts.iter().enumerate() {
            sums[self.cell(place / fine) * cells + self.cell(place % fine)] += part;
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::{Coarse, MAX_GRID};

    #[test]
    fn fine_grids_are_summed_and_coarse_ones_kept() {
        let kept = Coarse::of(14);
        let parts: Vec<f32> = (0..196).map(|part| part as f32).collect();
        assert_eq!((kept.grid, kept.sums(&parts)), (14, parts));
        for fine in [17, 32, 37] {
            let coarse = Coarse::of(fine);
            assert!(coarse.grid <= MAX_GRID, "{fine}");
            let parts = vec![1.0; fine * fine];
            assert_eq!(coarse.sums(&parts).iter().sum::<f32>(), (fine * fine) as f32);
        }
        let coarse = Coarse { fine: 4, grid: 2 };
        let pairs = coarse.pairs(&[1.0; 256]);
        assert_eq!(pairs, [16.0; 16]);
    }
}
