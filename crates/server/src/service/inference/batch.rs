//! One pass: jobs grouped by backbone and fine-tuning, embedded, and each given its share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use kinsight_model::hosting::HostedImages;

use super::{HostedModel, Job};

/// Embeds the images of all `jobs` and answers each.
pub(super) fn run(jobs: Vec<Job>) {
    for same_backbone in grouped(jobs, |a, b| Arc::ptr_eq(&a.backbone, &b.backbone)) {
        let mut groups = grouped(same_backbone, Arc::ptr_eq);
        let result = embed(&mut groups);
        match result {
            Ok(embeddings) => groups.into_iter().zip(embeddings).for_each(|(jobs, values)| answer(jobs, &values)),
            Err(error) => groups.into_iter().flatten().for_each(|job| {
                // A client that has gone away hears nothing.
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
fn embed(groups: &mut [Vec<Job>]) -> Result<Vec<Vec<f32>>, String> {
    let pixels: Vec<Vec<f32>> = groups.iter_mut().map(|jobs| joined(jobs)).collect();
    let Some(first) = groups.first().and_then(|jobs| jobs.first()) else { return Ok(Vec::new()) };
    let images: Vec<HostedImages<'_>> = groups
        .iter()
        .zip(pixels)
        .map(|(jobs, images)| HostedImages { encoder: &jobs[0].model.encoder, images })
        .collect();
    // A defect in the model must cost these requests, not the server.
    match catch_unwind(AssertUnwindSafe(|| first.model.backbone.embed(images))) {
        Ok(embedded) => embedded.map_err(|error| error.to_string()),
        Err(_) => Err("it panicked on this batch".into()),
    }
}

/// The pixels of all images of a group, one after the other: the only copy between the transform and the model, and none
/// for an image alone. Each job keeps its images' places.
fn joined(jobs: &mut [Job]) -> Vec<f32> {
    if let [Job { images, .. }] = jobs
        && let [only] = &mut images[..]
    {
        return std::mem::take(only);
    }
    let images = || jobs.iter().flat_map(|job| &job.images);
    let mut pixels = Vec::with_capacity(images().map(Vec::len).sum());
    images().for_each(|image| pixels.extend_from_slice(image));
    jobs.iter_mut().flat_map(|job| &mut job.images).for_each(|image| *image = Vec::new());
    pixels
}

fn answer(jobs: Vec<Job>, values: &[f32]) {
    let images: usize = jobs.iter().map(|job| job.images.len()).sum();
    let size = values.len() / images.max(1);
    let mut rest = values;
    for job in jobs {
        let (own, others) = rest.split_at(job.images.len() * size);
        rest = others;
        let _ = job.reply.send(Ok(own.to_vec()));
    }
}
