//! One pass: jobs grouped by backbone and fine-tuning, embedded, and each given its share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use kinsight_model::hosting::HostedImages;

use super::{HostedModel, InferenceError, Job};

/// Embeds the images of all `jobs` and answers each.
pub(super) fn run(jobs: Vec<Job>) {
    for same_backbone in grouped(jobs, |a, b| Arc::ptr_eq(&a.backbone, &b.backbone)) {
        let groups = grouped(same_backbone, Arc::ptr_eq);
        let result = embed(&groups);
        match result {
            Ok(embeddings) => groups.into_iter().zip(embeddings).for_each(|(jobs, values)| answer(jobs, &values)),
            Err(error) => groups.into_iter().flatten().for_each(|job| {
                // Nobody listens any more where this fails.
                let _ = job.reply.send(Err(error.clone()));
            }),
        }
    }
}

/// Jobs put together where `same` holds for their models, in order of first appearance.
fn grouped(jobs: Vec<Job>, same: impl Fn(&Arc<HostedModel>, &Arc<HostedModel>) -> bool) -> Vec<Vec<Job>> {
    let mut groups: Vec<Vec<Job>> = Vec::new();
    for job in jobs {
        match groups.iter_mut().find(|group| same(&group[0].model, &job.model)) {
            Some(group) => group.push(job),
            None => groups.push(vec![job]),
        }
    }
    groups
}

/// Embeddings of each group, all groups over one backbone.
fn embed(groups: &[Vec<Job>]) -> Result<Vec<Vec<f32>>, InferenceError> {
    let Some(first) = groups.first().and_then(|jobs| jobs.first()) else { return Ok(Vec::new()) };
    let images: Vec<HostedImages<'_>> = groups
        .iter()
        .map(|jobs| HostedImages {
            encoder: &jobs[0].model.encoder,
            images: jobs.iter().flat_map(|job| &job.images).copied().collect(),
        })
        .collect();
    // A defect in the model must cost these requests, not the server.
    match catch_unwind(AssertUnwindSafe(|| first.model.backbone.embed(images))) {
        Ok(Ok(embeddings)) => Ok(embeddings),
        Ok(Err(error)) => Err(InferenceError::Failed(error.to_string())),
        Err(_) => Err(InferenceError::Failed("the model failed on this batch".into())),
    }
}

fn answer(jobs: Vec<Job>, values: &[f32]) {
    let images: usize = jobs.iter().map(|job| job.count).sum();
    let size = values.len() / images.max(1);
    let mut rest = values;
    for job in jobs {
        let (own, others) = rest.split_at(job.count * size);
        rest = others;
        let _ = job.reply.send(Ok(own.to_vec()));
    }
}
