//! Queries with what was found for them, before and after.
//!
//! Right and wrong are told by color, by sign and in words, so that no reader depends on one of them.

use std::fmt::{self, Formatter};

use super::escape::Text;
use super::model::{Hit, QueryKind, Ranking, RetrievalGrid, RetrievalRow};
use super::number::Fixed;
use super::pictures::PictureStore;

/// Answers shown at once; the others open on demand.
const HITS_SHOWN: usize = 5;

/// The most pictures beside each other in a ranking; more go to the next line.
const MAX_COLUMNS: usize = 6;

pub(super) fn write<'a>(
    f: &mut Formatter<'_>,
    grid: Option<&'a RetrievalGrid>,
    pictures: &mut PictureStore<'a>,
) -> fmt::Result {
    let Some(grid) = grid else { return Ok(()) };
    write!(f, r#"<p class="quiet note">"#)?;
    if !grid.note.is_empty() {
        write!(f, "{} ", Text(&grid.note))?;
    }
    writeln!(
        f,
        r##"The numbers are cosine similarities.</p>
<p class="key quiet"><span class="right"><svg viewBox="0 0 16 16" aria-hidden="true"><use href="#right"/></svg> same class</span><span class="wrong"><svg viewBox="0 0 16 16" aria-hidden="true"><use href="#wrong"/></svg> another class</span></p>"##
    )?;
    for (kind, heading) in [
        (QueryKind::Random, "Drawn at random"),
        (QueryKind::Worst, "Answered worst"),
        (QueryKind::Best, "Answered best"),
    ] {
        let rows: Vec<&RetrievalRow> = grid.rows.iter().filter(|row| row.kind == kind).collect();
        if rows.is_empty() {
            continue;
        }
        // What is usual stands open; the ends are for who wants to know.
        let open = if kind == QueryKind::Random { " open" } else { "" };
        writeln!(
            f,
            r#"<details class="more"{open}><summary>{heading} <span class="sub">{}</span></summary>"#,
            rows.len()
        )?;
        for row in rows {
            write_row(f, row, pictures)?;
        }
        writeln!(f, "</details>")?;
    }
    Ok(())
}

fn write_row<'a>(f: &mut Formatter<'_>, row: &'a RetrievalRow, pictures: &mut PictureStore<'a>) -> fmt::Result {
    write!(f, r#"<article class="query"><figure class="asked" data-caption="{}">"#, Text(&row.query.caption))?;
    pictures.show(f, &row.query)?;
    writeln!(
        f,
        r#"<figcaption><span class="sub">Query</span><span class="name">{}</span>{}</figcaption></figure>
<div class="rankings">"#,
        Text(&row.query.label),
        match row.rankings.iter().map(|ranking| ranking.hits.len()).max() {
            Some(most) if most > HITS_SHOWN =>
                format!(r#"<button type="button" class="plain scripted" data-more>Show {most}</button>"#),
            _ => String::new(),
        },
    )?;
    for ranking in &row.rankings {
        write_ranking(f, ranking, pictures)?;
    }
    writeln!(f, "</div></article>")
}

fn write_ranking<'a>(f: &mut Formatter<'_>, ranking: &'a Ranking, pictures: &mut PictureStore<'a>) -> fmt::Result {
    let right = ranking.hits.iter().filter(|hit| hit.correct).count();
    writeln!(
        f,
        r#"<div class="ranking"><h3><span class="name">{}</span> <span class="sub">{right} of {} right</span></h3>
<ol style="--columns:{}">"#,
        Text(&ranking.method),
        ranking.hits.len(),
        columns(ranking.hits.len()),
    )?;
    for (place, hit) in ranking.hits.iter().enumerate() {
        write_hit(f, hit, place >= HITS_SHOWN, pictures)?;
    }
    writeln!(f, "</ol></div>")
}

fn write_hit<'a>(f: &mut Formatter<'_>, hit: &'a Hit, further: bool, pictures: &mut PictureStore<'a>) -> fmt::Result {
    let verdict = if hit.correct { "right" } else { "wrong" };
    let further = if further { r#" class="further""# } else { "" };
    write!(
        f,
        r#"<li{further}><button type="button" class="hit {verdict}" data-caption="{}">"#,
        Text(&hit.picture.caption)
    )?;
    pictures.show(f, &hit.picture)?;
    writeln!(
        f,
        concat!(
            r##"<span class="sign"><svg viewBox="0 0 16 16" aria-hidden="true"><use href="#{0}"/></svg></span>"##,
            r#"<span class="vh">{0}: </span><span class="name" title="{1}">{1}</span>"#,
            r#"<span class="similarity">{2}</span></button></li>"#,
        ),
        verdict,
        Text(&hit.picture.label),
        Fixed(hit.similarity, 2),
    )
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
