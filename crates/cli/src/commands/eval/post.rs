//! Post-processing of embeddings, each measured next to the plain figure.

use anyhow::{Context, Result};
use clap::ValueEnum;
use kinsight_retrieval::post::{ReciprocalConfig, Whitening, augment_database, evaluate_k_reciprocal, expand_queries};
use kinsight_retrieval::{
    EvalConfig, Evaluation, KnnConfig, UnitEmbeddings, evaluate_query_gallery, evaluate_roles, evaluate_with_identity,
    search, search_self,
};

use super::material::{Gallery, Material};

/// `--post`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PostArg {
    /// PCA whitening fitted to the training embeddings
    PcaWhiten,
    /// Database-side augmentation
    Dba,
    /// Alpha query expansion
    Aqe,
    /// k-reciprocal re-ranking
    KReciprocal,
}

/// Settings of the post-processing.
#[derive(Clone, Copy, Debug)]
pub struct PostSettings {
    /// Neighbors of DBA and of query expansion.
    pub k: usize,
    /// Exponent of query expansion.
    pub alpha: f64,
}

impl PostArg {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::PcaWhiten => "pca-whiten",
            Self::Dba => "dba",
            Self::Aqe => "aqe",
            Self::KReciprocal => "k-reciprocal",
        }
    }

    /// The evaluation with this processing alone.
    pub fn evaluate(self, material: &Material, settings: PostSettings, config: &EvalConfig) -> Result<Evaluation> {
        let knn = KnnConfig { k: settings.k, max_memory_bytes: config.max_memory_bytes };
        match self {
            Self::PcaWhiten => {
                let training = material.training.as_ref().context(
                    "pca-whiten needs training embeddings: use --part test with a split dataset, or --training-embeddings FILE",
                )?;
                let whitening = Whitening::fit(training)?;
                let gallery = match &material.gallery {
                    Some(gallery) => Some(Gallery {
                        embeddings: whitening.apply(&gallery.embeddings)?,
                        labels: gallery.labels.clone(),
                    }),
                    None => None,
                };
                plain(&whitening.apply(&material.embeddings)?, gallery.as_ref(), material, config)
            }
            Self::Dba => Sides::of(material)?.augmented(&knn)?.evaluate(config),
            Self::Aqe => Sides::of(material)?.expanded(&knn, settings.alpha)?.evaluate(config),
            Self::KReciprocal => {
                let reciprocal = ReciprocalConfig::default();
                let config = EvalConfig { clustering: None, false_match_rates: None, ..config.clone() };
                let Some(gallery) = &material.gallery else {
                    let (queries, answers) = (roles(material, true), roles(material, false));
                    let (embeddings, labels) = (&material.embeddings, &material.labels);
                    return Ok(evaluate_k_reciprocal(embeddings, labels, &queries, &answers, &reciprocal, &config)?);
                };
                let rows = material.embeddings.len();
                let values = [material.embeddings.as_slice(), gallery.embeddings.as_slice()].concat();
                let joined = UnitEmbeddings::new(values, material.embeddings.dim())?;
                let labels = [&material.labels[..], &gallery.labels].concat();
                let (queries, answers): (Vec<usize>, Vec<usize>) = (0..labels.len()).partition(|&row| row < rows);
                Ok(evaluate_k_reciprocal(&joined, &labels, &queries, &answers, &reciprocal, &config)?)
            }
        }
    }
}

/// The evaluation without any processing, with the roles of `material`.
pub fn plain(
    embeddings: &UnitEmbeddings,
    gallery: Option<&Gallery>,
    material: &Material,
    config: &EvalConfig,
) -> Result<Evaluation> {
    Ok(match gallery {
        Some(gallery) => {
            evaluate_query_gallery(embeddings, &material.labels, &gallery.embeddings, &gallery.labels, config)?
        }
        None => evaluate_roles(embeddings, &material.labels, &roles(material, true), &roles(material, false), config)?,
    })
}

/// Rows that ask (`queries`), or that answer.
pub fn roles(material: &Material, queries: bool) -> Vec<usize> {
    let has = |&row: &usize| {
        if queries { material.protocol.is_query(row) } else { material.protocol.is_in_gallery(row) }
    };
    (0..material.labels.len()).filter(has).collect()
}

/// Queries and gallery apart, as processing changes only one of them.
struct Sides {
    queries: UnitEmbeddings,
    query_labels: Vec<i64>,
    gallery: UnitEmbeddings,
    gallery_labels: Vec<i64>,
    own_items: Vec<Option<u32>>,
}

impl Sides {
    fn of(material: &Material) -> Result<Self> {
        if let Some(gallery) = &material.gallery {
            return Ok(Self {
                queries: material.embeddings.clone(),
                query_labels: material.labels.clone(),
                gallery: gallery.embeddings.clone(),
                gallery_labels: gallery.labels.clone(),
                own_items: vec![None; material.labels.len()],
            });
        }
        let (asking, answering) = (roles(material, true), roles(material, false));
        let labels = |rows: &[usize]| -> Vec<i64> { rows.iter().map(|&row| material.labels[row]).collect() };
        Ok(Self {
            queries: material.embeddings.select(&asking)?,
            query_labels: labels(&asking),
            gallery: material.embeddings.select(&answering)?,
            gallery_labels: labels(&answering),
            own_items: asking.iter().map(|row| answering.binary_search(row).ok().map(|place| place as u32)).collect(),
        })
    }

    fn augmented(mut self, knn: &KnnConfig) -> Result<Self> {
        self.gallery = augment_database(&self.gallery, knn)?;
        Ok(self)
    }

    fn expanded(mut self, knn: &KnnConfig, alpha: f64) -> Result<Self> {
        let everyone_asks = self.own_items.iter().enumerate().all(|(query, own)| *own == Some(query as u32));
        if everyone_asks && self.queries.len() == self.gallery.len() {
            let neighbors = search_self(&self.gallery, knn)?;
            self.queries = expand_queries(&self.queries, &self.gallery, &neighbors, alpha)?;
            return Ok(self);
        }
        anyhow::ensure!(
            self.own_items.iter().all(Option::is_none),
            "aqe needs either all queries in the gallery or none"
        );
        let neighbors = search(&self.queries, &self.gallery, knn)?;
        self.queries = expand_queries(&self.queries, &self.gallery, &neighbors, alpha)?;
        Ok(self)
    }

    fn evaluate(&self, config: &EvalConfig) -> Result<Evaluation> {
        let Self { queries, query_labels, gallery, gallery_labels, own_items } = self;
        Ok(evaluate_with_identity(queries, query_labels, gallery, gallery_labels, own_items, config)?)
    }
}
