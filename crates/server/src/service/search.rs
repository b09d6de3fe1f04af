//! Pictures in, neighbors or numbers out.

use std::sync::Arc;

use kinsight_data::CropBox;
use kinsight_index::payload::fields;
use kinsight_index::{Filter, Payload, PointId, combine_queries};
use serde::Serialize;
use tokio::task::JoinSet;
use utoipa::ToSchema;

use super::{Collection, Held, Service, ServiceError, Source, Work, prepare};

/// What a search asks for.
pub(crate) struct Question {
    pub positive: Vec<Query>,
    pub negative: Vec<Query>,
    pub results: usize,
    pub threshold: Option<f32>,
    pub filter: Option<Filter>,
}

/// One image of a question.
pub(crate) enum Query {
    Upload(Source),
    Stored(PointId, Option<CropBox>),
}

/// An image that was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub id: PointId,
    pub score: f32,
    pub payload: Payload,
}

/// A label among the results.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClassVote {
    pub label: String,
    /// Its best score.
    pub score: f32,
    /// Its share of the votes.
    pub share: f64,
}

impl Question {
    /// Refuses what is out of range.
    fn check(&self, max_images: usize, max_results: usize) -> Result<(), ServiceError> {
        let found = self.positive.len() + self.negative.len();
        if self.positive.is_empty() {
            return Err(ServiceError::NoPicture { expected: "image or id" });
        }
        if found > max_images {
            return Err(ServiceError::TooManyImages { found, most: max_images });
        }
        if !(1..=max_results).contains(&self.results) {
            return Err(ServiceError::field("k", &self.results.to_string(), format!("1 to {max_results}")));
        }
        if let Some(threshold) = self.threshold.filter(|threshold| !(-1.0..=1.0).contains(threshold)) {
            return Err(ServiceError::field("threshold", &threshold.to_string(), "a score from -1 to 1"));
        }
        Ok(())
    }

    /// Stored images that are searched by as they are.
    fn whole_stored(&self) -> Vec<PointId> {
        let whole = |query: &Query| match query {
            Query::Stored(id, None) => Some(*id),
            _ => None,
        };
        self.positive.iter().filter_map(whole).collect()
    }
}

impl Service {
    /// The images most similar to those asked for, best first.
    pub async fn search(
        &self,
        work: Work,
        collection: Arc<Collection>,
        question: Question,
        held: Held,
    ) -> Result<Vec<Found>, ServiceError> {
        question.check(self.limits.max_images, self.limits.max_results)?;
        let stored = question.whole_stored();
        let Question { positive, negative, results, threshold, filter } = question;
        let wanted = positive.len();
        let queries = positive.into_iter().chain(negative).collect();
        let vectors = self.query_vectors(&work, &collection, queries, held).await?;
        let (positive, negative) = vectors.split_at(wanted);
        // The mean of what is wanted, less a fifth of the mean of what is not, of unit length.
        let vector =
            combine_queries(positive, negative).map_err(|error| ServiceError::NoDirection(error.to_string()))?;
        let asked = results + stored.len();
        let mut found = work.run(move |cancel| collection.search(vector, asked, filter, cancel)).await?;
        // An image that is its own query is not a result.
        found.retain(|found| !stored.contains(&found.id));
        found.retain(|found| threshold.is_none_or(|threshold| found.score >= threshold));
        found.truncate(results);
        Ok(found)
    }

    async fn query_vectors(
        &self,
        work: &Work,
        collection: &Arc<Collection>,
        queries: Vec<Query>,
        mut held: Held,
    ) -> Result<Vec<Vec<f32>>, ServiceError> {
        let mut vectors: Vec<Option<Vec<f32>>> = Vec::with_capacity(queries.len());
        let mut sources = Vec::new();
        for query in queries {
            vectors.push(match query {
                Query::Stored(id, None) => {
                    let asked = collection.clone();
                    Some(work.run(move |_| asked.require(id)).await?.vector)
                }
                Query::Stored(id, crop) => {
                    let bytes;
                    (bytes, held) = self.read_file(work, collection, id, held).await?;
                    sources.push(Source { bytes, crop });
                    None
                }
                Query::Upload(source) => {
                    sources.push(source);
                    None
                }
            });
        }
        let mut embedded = self.embed(work, collection, sources, held).await?.into_iter();
        Ok(vectors.into_iter().map(|vector| vector.or_else(|| embedded.next()).unwrap_or_default()).collect())
    }

    /// Embeddings of images, in order; through the model with whatever else is in flight.
    pub async fn embed(
        &self,
        work: &Work,
        collection: &Arc<Collection>,
        sources: Vec<Source>,
        mut held: Held,
    ) -> Result<Vec<Vec<f32>>, ServiceError> {
        if sources.is_empty() {
            return Ok(Vec::new());
        }
        let model = collection.model().clone();
        let preprocess = *model.encoder.preprocess();
        let mut prepared: Vec<Vec<f32>> = vec![Vec::new(); sources.len()];
        held.add(prepared.len() * preprocess.output_len() * size_of::<f32>())?;
        let announcement = self.inference.announce();
        let mut waiting = sources.into_iter().enumerate();
        let mut tasks = JoinSet::new();
        loop {
            while tasks.len() < self.decoder.at_once()
                && let Some((i, source)) = waiting.next()
            {
                let (decoder, work) = (self.decoder.clone(), work.clone());
                let task = async move {
                    let values = decoder.decode(&work, vec![source], move |images| prepare(&images[0], &preprocess));
                    values.await.map(|values| (i, values))
                };
                tasks.spawn(task);
            }
            let Some(finished) = tasks.join_next().await else { break };
            let (i, values) = finished.map_err(|error| ServiceError::internal("decoding failed", error))??;
            prepared[i] = values;
        }
        let (count, size) = (prepared.len(), model.encoder.embedding_size());
        let values = self.inference.embed(model, prepared, announcement).await?;
        debug_assert_eq!(values.len(), count * size);
        Ok(values.chunks_exact(size).map(<[f32]>::to_vec).collect())
    }
}

/// The labels of the best results, first the one with most of the votes: the weighted nearest neighbors of Caron et al.,
/// "Emerging Properties in Self-Supervised Vision Transformers" (2021), ten of them at temperature 0.07.
pub(crate) fn classes(found: &[Found]) -> Vec<ClassVote> {
    let voters = &found[..found.len().min(10)];
    let best = voters.first().map_or(0.0, |first| f64::from(first.score));
    let mut votes: Vec<ClassVote> = Vec::new();
    for voter in voters {
        let Some(label) = voter.payload.get(fields::LABEL) else { continue };
        let (label, weight) = (label.text(), ((f64::from(voter.score) - best) / 0.07).exp());
        match votes.iter_mut().find(|vote| vote.label == label) {
            Some(vote) => vote.share += weight,
            None => votes.push(ClassVote { label, score: voter.score, share: weight }),
        }
    }
    let total: f64 = votes.iter().map(|vote| vote.share).sum();
    votes.iter_mut().for_each(|vote| vote.share /= total);
    votes.sort_by(|a, b| b.share.total_cmp(&a.share));
    votes
}
