//! Queries with what was found for them, before and after.
//!
//! Right and wrong are told by color, by sign and in words, so that no reader depends on one of them.

use maud::{Markup, html};

use super::model::{Hit, QueryKind, Ranking, RetrievalGrid, RetrievalRow};
use crate::frame::Section;
use crate::number::Fixed;
use crate::pictures::PictureStore;

/// Hits shown at once; the others open on demand.
const HITS_SHOWN: usize = 5;

/// The most pictures next to each other in a ranking; more go to the next line.
const MAX_COLUMNS: usize = 6;

pub(super) fn section<'a>(grid: &'a RetrievalGrid, pictures: &mut PictureStore<'a>) -> Option<Section> {
    let kinds = [
        (QueryKind::Random, "Drawn at random"),
        (QueryKind::Worst, "Answered worst"),
        (QueryKind::Best, "Answered best"),
    ];
    let rows = |kind| grid.rows.iter().filter(move |row| row.kind == kind);
    let body = html! {
        p.quiet.note { @if !grid.note.is_empty() { (grid.note) " " } "The numbers are cosine similarities." }
        p.key.quiet {
            span.right { (sign(true, "")) " same class" }
            span.wrong { (sign(false, "")) " another class" }
        }
        @for (kind, heading) in kinds {
            @if rows(kind).count() > 0 {
                // What is usual is open; the extremes are one click away.
                details.more open[kind == QueryKind::Random] {
                    summary { (heading) " " span.sub { (rows(kind).count()) } }
                    @for query in rows(kind) { (row(query, pictures)) }
                }
            }
        }
    };
    (!grid.rows.is_empty()).then_some(Section { id: "retrieval", heading: "What it finds", body })
}

/// The sign of right or wrong.
pub(super) fn sign(right: bool, size: &str) -> Markup {
    let size = (!size.is_empty()).then_some(size);
    html! {
        svg viewBox="0 0 16 16" width=[size] height=[size] aria-hidden="true" {
            use href=(if right { "#right" } else { "#wrong" }) {}
        }
    }
}

fn row<'a>(row: &'a RetrievalRow, pictures: &mut PictureStore<'a>) -> Markup {
    let most = row.rankings.iter().map(|ranking| ranking.hits.len()).max().unwrap_or(0);
    html! {
        article.query {
            figure.asked data-caption=(row.query.caption) {
                (pictures.show(&row.query))
                figcaption {
                    span.sub { "Query" }
                    span.name { (row.query.label) }
                    @if most > HITS_SHOWN { button.plain.scripted type="button" data-more { "Show " (most) } }
                }
            }
            div.rankings { @for found in &row.rankings { (ranking(found, pictures)) } }
        }
    }
}

fn ranking<'a>(ranking: &'a Ranking, pictures: &mut PictureStore<'a>) -> Markup {
    let right = ranking.hits.iter().filter(|hit| hit.correct).count();
    html! {
        div.ranking {
            h3 { span.name { (ranking.method) } " " span.sub { (right) " of " (ranking.hits.len()) " right" } }
            ol style={ "--columns:" (columns(ranking.hits.len())) } {
                @for (place, found) in ranking.hits.iter().enumerate() { (hit(found, place >= HITS_SHOWN, pictures)) }
            }
        }
    }
}

fn hit<'a>(hit: &'a Hit, further: bool, pictures: &mut PictureStore<'a>) -> Markup {
    let verdict = if hit.correct { "right" } else { "wrong" };
    html! {
        li class=[further.then_some("further")] {
            button.hit.(verdict) type="button" data-caption=(hit.picture.caption) {
                (pictures.show(&hit.picture))
                span.sign { (sign(hit.correct, "")) }
                span.vh { (verdict) ": " }
                span.name title=(hit.picture.label) { (hit.picture.label) }
                span.similarity { (Fixed(hit.similarity, 2)) }
            }
        }
    }
}

/// Columns that leave no ragged last line where that is possible.
fn columns(hits: usize) -> usize {
    if hits <= MAX_COLUMNS {
        return hits.max(1);
    }
    (4..=MAX_COLUMNS).rev().find(|&columns| hits.is_multiple_of(columns)).unwrap_or(MAX_COLUMNS)
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn columns_divide_the_hits_where_they_can() {
        let expected = [(0, 1), (1, 1), (5, 5), (6, 6), (7, 6), (8, 4), (10, 5), (12, 6)];
        for (hits, wanted) in expected {
            assert_eq!(columns(hits), wanted, "{hits} hits");
        }
    }
}
