//! The pairs of a batch as a loss between samples takes them.

use burn::tensor::{Int, Tensor, TensorData};

use super::Selection;

/// Squared distances below this are rounding noise of the cosine, and have no gradient.
const NOISE: f64 = 1e-7;

/// Cosines of all samples of a batch, and which of them count.
#[derive(Debug)]
pub struct Pairs<'a> {
    /// Cosines, `[N, N]`.
    pub similarity: Tensor<2>,
    /// Class of each sample.
    pub labels: &'a [usize],
    /// How many of the last samples are proxies.
    pub proxies: usize,
    /// Which pairs count.
    pub selection: Selection,
    /// 1 at pairs of the same class that count, `[N, N]`.
    pub positive: Tensor<2>,
    /// 1 at pairs of different classes that count, `[N, N]`.
    pub negative: Tensor<2>,
}

impl<'a> Pairs<'a> {
    /// `similarity` `[N, N]` of unit rows, the last `proxies` of which are proxies.
    pub fn new(similarity: Tensor<2>, labels: &'a [usize], selection: Selection, proxies: usize) -> Self {
        let shape = similarity.dims();
        let device = similarity.device();
        let [positive, negative] =
            selection.masks().map(|mask| Tensor::from_data(TensorData::new(mask, shape), &device));
        Self { similarity, labels, proxies, selection, positive, negative }
    }

    /// Euclidean distances of unit vectors, `|x - y| = sqrt(2 - 2 cos)`, `[N, N]`.
    pub fn distances(&self) -> Tensor<2> {
        self.similarity.clone().mul_scalar(-2.0).add_scalar(2.0).clamp_min(NOISE).sqrt()
    }

    /// The entries of `matrix` `[N, N]` at (row, column), which must not be empty.
    pub fn at(&self, matrix: Tensor<2>, places: impl Iterator<Item = (usize, usize)>) -> Tensor<1> {
        let size = self.selection.size();
        let flat: Vec<i64> = places.map(|(row, column)| (row * size + column) as i64).collect();
        let count = flat.len();
        let index = Tensor::<1, Int>::from_data(TensorData::new(flat, [count]), &matrix.device());
        matrix.reshape([size * size]).select(0, index)
    }

    /// Distances of each triplet's anchor from its positive and from its negative; `None` if there is no triplet.
    pub fn triplet_distances(&self, triplets: &[[usize; 3]]) -> Option<[Tensor<1>; 2]> {
        let distance = self.distances();
        let to =
            |other: usize| self.at(distance.clone(), triplets.iter().map(move |triplet| (triplet[0], triplet[other])));
        (!triplets.is_empty()).then(|| [to(1), to(2)])
    }

    /// Zero, with a gradient of zero: the loss of a batch without the pairs that it needs.
    pub fn nothing(&self) -> Tensor<1> {
        self.similarity.clone().sum().mul_scalar(0.0)
    }
}
