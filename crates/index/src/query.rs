//! From query images to a query vector: parts of images, means of several, and away from counter-examples.

use kinsight_data::{CropBox, EvalTransform, ImageEmbedder, RgbImage};

use crate::error::{IndexError, Result};
use crate::indexing::{embed, prepare};

/// A picture to search by, or a part of it.
#[derive(Clone, Debug)]
pub struct ImageQuery {
    /// The picture.
    pub picture: RgbImage,
    /// The part that is looked at, in pixels of the upright picture; all of it if `None`.
    pub crop: Option<CropBox>,
}

impl ImageQuery {
    /// Embeds pictures; a unit row each.
    ///
    /// # Errors
    /// A crop that does not lie inside its picture, or a failure of the model.
    pub fn embed_all(queries: &[Self], embedder: &dyn ImageEmbedder) -> Result<Vec<Vec<f32>>> {
        let transform = EvalTransform::new(embedder.preprocess())?;
        let mut pixels = Vec::new();
        for query in queries {
            let cropped = query.crop.map(|crop| query.picture.crop(crop)).transpose()?;
            pixels.extend(prepare::transformed(cropped.as_ref().unwrap_or(&query.picture), &transform)?);
        }
        embed(embedder, pixels, queries.len())
    }
}

/// How much a counter-example weighs against the queries: Rocchio's gamma over beta, as in Manning, Raghavan and Schütze,
/// "Introduction to Information Retrieval", section 9.1.1 (0.15 / 0.75).
const AGAINST: f64 = 0.2;

/// One query vector: the mean of `wanted`, moved away from the mean of `unwanted`, of length one.
///
/// # Errors
/// No wanted vector, or a result without direction.
pub fn combine_queries(wanted: &[Vec<f32>], unwanted: &[Vec<f32>]) -> Result<Vec<f32>> {
    let Some(first) = wanted.first() else {
        return Err(IndexError::setting("the number of query images", 0, "at least 1"));
    };
    // One query alone is searched by as it is, to the last bit.
    if wanted.len() == 1 && unwanted.is_empty() {
        return Ok(first.clone());
    }
    let mut sum = vec![0.0; first.len()];
    for (vectors, weight) in [(wanted, 1.0), (unwanted, -AGAINST)] {
        for vector in vectors {
            for (sum, &value) in sum.iter_mut().zip(vector) {
                *sum += weight * f64::from(value) / vectors.len() as f64;
            }
        }
    }
    unit(&sum).ok_or_else(|| {
        IndexError::setting("the mean of the query images", "zero", "a nonzero mean (they cancel each other out)")
    })
}

/// `vector` with length one; `None` if it has no direction.
pub(crate) fn unit(vector: &[f64]) -> Option<Vec<f32>> {
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    (length > 1e-9).then(|| vector.iter().map(|value| (value / length) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_averaged_and_counter_examples_push_away() {
        let (x, y) = (vec![1.0, 0.0], vec![0.0, 1.0]);
        assert_eq!(combine_queries(std::slice::from_ref(&x), &[]).unwrap(), x);
        let mean = combine_queries(&[x.clone(), y.clone()], &[]).unwrap();
        assert!((mean[0] - mean[1]).abs() < 1e-7 && (mean[0] - 0.5_f32.sqrt()).abs() < 1e-6);
        let away = combine_queries(&[mean], std::slice::from_ref(&y)).unwrap();
        assert!(away[0] > away[1]);
        assert!(combine_queries(&[], &[y]).is_err());
        assert!(combine_queries(&[x.clone(), vec![-1.0, 0.0]], &[]).is_err());
    }
}
