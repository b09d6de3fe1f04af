//! Which classes are found in place of which: the worst pairs with pictures, and the matrix of the classes involved.

use maud::{Markup, html};

use super::model::Confusion;
use crate::frame::Section;
use crate::number::{Fixed, Percent};
use crate::pictures::PictureStore;

/// Cells more strongly colored than this need inverted text.
const STRONG: f64 = 0.72;

pub(super) fn section<'a>(confusion: &'a Confusion, pictures: &mut PictureStore<'a>) -> Option<Section> {
    let body = html! {
        p.quiet.note {
            "Which other class is most often among " (confusion.among) " of a query, with " (confusion.method) "."
        }
        ol.mixed {
            @for pair in &confusion.pairs {
                li {
                    div.two {
                        @if let Some((query, answer)) = &pair.example { (pictures.show(query)) (pictures.show(answer)) }
                    }
                    div.what { span.name { (pair.class) } span.sub { "finds " (pair.taken_for) } }
                    span.n { (Percent(pair.share)) span.unit { " %" } }
                }
            }
        }
        @if confusion.classes.len() > 1 { (matrix(confusion)) }
    };
    (!confusion.pairs.is_empty()).then_some(Section { id: "confusion", heading: "Confusion", body })
}

fn matrix(confusion: &Confusion) -> Markup {
    let is_whole = |shares: &Vec<f64>| shares.iter().sum::<f64>() > 0.9999;
    html! {
        div.scroll role="region" aria-label="Confusion matrix" tabindex="0" {
            table.matrix {
                caption.vh { "Share of each class among the answers, in percent; rows are the queries' classes" }
                thead {
                    tr {
                        th scope="col" { span.vh { "Query" } }
                        @for (number, name) in confusion.classes.iter().enumerate() {
                            th.n scope="col" title=(name) { (number + 1) span.vh { " " (name) } }
                        }
                    }
                }
                tbody {
                    @for (row, (name, shares)) in confusion.classes.iter().zip(&confusion.shares).enumerate() {
                        tr {
                            th scope="row" { span.n { (row + 1) } " " span.name { (name) } }
                            @for (column, share) in shares.iter().enumerate() { (cell(*share, row == column)) }
                        }
                    }
                }
            }
        }
        p.quiet.note {
            "Percent of the answers; rows are the queries' classes, columns the classes found, by number."
            @if !confusion.shares.iter().all(is_whole) { " Classes outside the table make up the difference to 100." }
        }
    }
}

fn cell(share: f64, own: bool) -> Markup {
    let strength = if share.is_finite() { share.clamp(0.0, 1.0).sqrt() } else { 0.0 };
    html! {
        td.n.own[own].other[!own].strong[strength > STRONG] style={ "--share:" (Fixed(strength, 2)) } {
            @if share >= 0.005 { (Fixed(share * 100.0, 0)) } @else { span.vh { "0" } }
        }
    }
}
