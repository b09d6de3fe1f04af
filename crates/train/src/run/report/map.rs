//! The embeddings of a sample of test images as a map.

use std::path::Path;

use kinsight_data::thumbnail::contact_sheet;
use kinsight_retrieval::{KnnConfig, TsneConfig, search_self, tsne};

use super::RunReport;
use super::pictures::{file_name, labeled};
use super::similarities::whole_classes;
use crate::error::TrainError;
use crate::report::{EmbeddingMap, MapPoint};

/// Images on the map.
const SAMPLE: usize = 1000;
const TILE_PX: u32 = 44;
const COLUMNS: usize = 32;
const STREAM: u64 = 3;

pub(super) fn map(report: &RunReport<'_>) -> Result<Option<EmbeddingMap>, TrainError> {
    let Some(run) = report.runs.last() else { return Ok(None) };
    let measured = run.measured;
    let rows = whole_classes(&measured.labels, SAMPLE, &mut report.rng(STREAM));
    if rows.len() < 4 {
        return Ok(None);
    }
    let embeddings = measured.embeddings.select(&rows)?;
    let places = tsne(&embeddings, &TsneConfig::default())?;
    let neighbors = search_self(&embeddings, &KnnConfig { k: 1, ..KnnConfig::default() })?;
    let label = |place: usize| measured.labels[rows[place]];
    let points = places.iter().enumerate().map(|(place, [x, y])| MapPoint {
        x: *x,
        y: *y,
        class: label(place).max(0) as usize,
        caption: file_name(report.test, measured.indices[rows[place]]),
        astray: neighbors.row(place).first().is_some_and(|hit| label(hit.index() as usize) != label(place)),
    });
    let files: Vec<&Path> = rows
        .iter()
        .map(|row| report.test.items.get(measured.indices[*row]).map_or(Path::new(""), |item| item.path.as_path()))
        .collect();
    let shown = match rows.len() < measured.labels.len() {
        true => format!("{} of {} test images, whole classes drawn at random", rows.len(), measured.labels.len()),
        false => format!("All {} test images", rows.len()),
    };
    Ok(Some(EmbeddingMap {
        note: format!(
            "{shown}, as {} places them: near each other where their embeddings are (t-SNE; distances between far groups mean little). One color a class.",
            run.name
        ),
        points: points.collect(),
        classes: report.test.class_names.clone(),
        tiles: labeled(report.test, usize::MAX, contact_sheet(&files, TILE_PX, COLUMNS)),
        tile_px: TILE_PX as usize,
        columns: COLUMNS,
    }))
}
