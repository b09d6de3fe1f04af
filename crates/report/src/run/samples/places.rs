//! The embeddings of a sample of test images as a map.

use std::path::Path;

use kinsight_data::thumbnail::contact_sheet;
use kinsight_retrieval::{KnnConfig, RetrievalError, TsneConfig, search, tsne};

use super::Samples;
use super::pairs::whole_classes;
use crate::pictures::Picture;
use crate::run::{EmbeddingMap, MapPoint};

/// Images on the map.
const SAMPLE: usize = 1000;
/// t-SNE needs a few points to tell near from far.
const LEAST: usize = 4;
const TILE_PX: u32 = 44;
const COLUMNS: usize = 32;
const STREAM: u64 = 3;

pub(super) fn map(samples: &Samples<'_>) -> Result<Option<EmbeddingMap>, RetrievalError> {
    let Some(result) = samples.methods.last().filter(|_| samples.methods.len() > 1) else { return Ok(None) };
    let rows = whole_classes(result.labels, SAMPLE, &mut samples.rng(STREAM));
    if rows.len() < LEAST {
        return Ok(None);
    }
    let embeddings = result.embeddings.select(&rows)?;
    let places = tsne(&embeddings, &TsneConfig::default())?;
    let astray = astray(&rows, samples)?;
    let label = |place: usize| result.labels[rows[place]];
    let points = places.iter().enumerate().map(|(place, [x, y])| MapPoint {
        x: *x,
        y: *y,
        class: label(place).max(0) as usize,
        caption: samples.file_name(result.indices[rows[place]]),
        astray: astray[place],
    });
    let files: Vec<&Path> = rows.iter().map(|row| samples.path(result.indices[*row])).collect();
    let shown = match rows.len() < result.labels.len() {
        true => format!("{} of {} test images, whole classes drawn at random", rows.len(), result.labels.len()),
        false => format!("The {} test images that could be read", rows.len()),
    };
    Ok(Some(EmbeddingMap {
        note: format!(
            "{shown}, as {} places them: near each other where their embeddings are (t-SNE; distances between far groups mean little). Colored by class.",
            result.name
        ),
        points: points.collect(),
        classes: samples.test.class_names.clone(),
        tiles: Picture::jpeg("", "", contact_sheet(&files, TILE_PX, COLUMNS)),
        tile_px: TILE_PX as usize,
        columns: COLUMNS,
    }))
}

/// For each of `rows` whether it is a query whose nearest gallery image among them is of another class.
fn astray(rows: &[usize], samples: &Samples<'_>) -> Result<Vec<bool>, RetrievalError> {
    let mut astray = vec![false; rows.len()];
    let Some(result) = samples.methods.last() else { return Ok(astray) };
    let of =
        |role: &[usize]| -> Vec<usize> { rows.iter().copied().filter(|row| role.binary_search(row).is_ok()).collect() };
    let (queries, gallery) = (of(result.queries), of(result.gallery));
    if queries.is_empty() || gallery.is_empty() {
        return Ok(astray);
    }
    // Two, since a query that is in the gallery finds itself.
    let config = KnnConfig { k: 2, ..KnnConfig::default() };
    let neighbors = search(&result.embeddings.select(&queries)?, &result.embeddings.select(&gallery)?, &config)?;
    for (number, query) in queries.iter().enumerate() {
        let mut hits = neighbors.row(number).iter().map(|hit| gallery[hit.index() as usize]);
        let nearest = hits.find(|row| row != query);
        if let Ok(place) = rows.binary_search(query) {
            astray[place] = nearest.is_some_and(|row| result.labels[row] != result.labels[*query]);
        }
    }
    Ok(astray)
}
