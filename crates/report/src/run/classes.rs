//! The hardest and the easiest classes, and what the hard ones are mistaken for.

use maud::{Markup, html};

use super::methods::delta;
use super::model::{ClassScore, ClassScores};
use super::summary::meter;
use crate::frame::Section;
use crate::number::{Count, Percent};
use crate::pictures::PictureStore;

pub(super) fn section<'a>(classes: &'a ClassScores, pictures: &mut PictureStore<'a>) -> Option<Section> {
    let body = html! {
        p.quiet.note {
            (classes.metric) @if !classes.method.is_empty() { " of " (classes.method) } " within each class, in percent."
        }
        div.ends { (end("Hardest", &classes.worst, pictures)) (end("Easiest", &classes.best, pictures)) }
    };
    let is_empty = classes.worst.is_empty() && classes.best.is_empty();
    (!is_empty).then_some(Section { id: "classes", heading: "Classes", body })
}

fn end<'a>(heading: &str, classes: &'a [ClassScore], pictures: &mut PictureStore<'a>) -> Markup {
    let compared = classes.iter().any(|class| class.before.is_some());
    html! {
        @if !classes.is_empty() {
            div { h3 { (heading) } ol { @for class in classes { (entry(class, compared, pictures)) } } }
        }
    }
}

fn entry<'a>(class: &'a ClassScore, compared: bool, pictures: &mut PictureStore<'a>) -> Markup {
    html! {
        li.class {
            @if let Some(example) = &class.example { (pictures.show(example)) }
            div.what {
                span.name { (class.name) }
                span.sub {
                    (Count(class.images as u64)) (if class.images == 1 { " image" } else { " images" })
                    @if let Some(other) = &class.confused_with { ", most often taken for " (other) }
                }
            }
            div.score {
                span.n { (Percent(class.value)) (delta(class.value, class.before, compared)) }
                (meter(class.value, class.before))
            }
        }
    }
}
