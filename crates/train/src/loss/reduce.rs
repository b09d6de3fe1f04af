//! Sums and means over the entries that a mask keeps.

use burn::tensor::{Tensor, activation};

/// `log(sum exp(x))` over the entries of each row that `mask` keeps, plus `exp(0)` if `add_one`; 0 for a row without any.
///
/// # Shapes
/// `x` and `mask` `[N, M]` to `[N, 1]`
pub(super) fn log_sum_exp(x: Tensor<2>, mask: &Tensor<2>, add_one: bool) -> Tensor<2> {
    log_sum_exp_over(1, x, mask, add_one)
}

/// The same with the sums over dimension `dim`, which becomes 1.
pub(super) fn log_sum_exp_over(dim: usize, x: Tensor<2>, mask: &Tensor<2>, add_one: bool) -> Tensor<2> {
    let outside = mask.clone().sub_scalar(1.0).mul_scalar(1e9);
    let largest = (x.clone().detach() * mask.clone() + outside).max_dim(dim);
    // Rows without an entry, and with add_one the term exp(0), are safe at 0.
    let none = mask.clone().sum_dim(dim).equal_elem(0.0).float();
    let largest = largest * (none.clone().neg().add_scalar(1.0));
    let largest = if add_one { largest.clamp_min(0.0) } else { largest };
    // Masked before the exponential too: 0 times infinity would be no number.
    let shifted = (x - largest.clone()) * mask.clone();
    let sum = (shifted.exp() * mask.clone()).sum_dim(dim);
    let sum = if add_one { sum + largest.clone().neg().exp() } else { sum + none };
    sum.log() + largest
}

/// `log(1 + exp(x))` without overflow.
pub(super) fn softplus(x: Tensor<2>) -> Tensor<2> {
    activation::relu(x.clone()) + x.abs().neg().exp().log1p()
}

/// Mean of the values above zero; 0 if there is none (`AvgNonZeroReducer`).
pub(super) fn mean_above_zero<const R: usize>(values: Tensor<R>) -> Tensor<1> {
    let above = values.clone().detach().greater_elem(0.0).float();
    let count = above.clone().sum().into_scalar::<f64>();
    (values * above).sum().div_scalar(count.max(1.0))
}

/// Mean cross-entropy of `logits` `[B, C]` against one-hot `own` `[B, C]`.
pub(super) fn cross_entropy(logits: Tensor<2>, own: Tensor<2>) -> Tensor<1> {
    (activation::log_softmax(logits, 1) * own).sum_dim(1).mean().neg()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn sums_of_large_and_of_no_entries() {
        let device = Device::flex();
        let x = Tensor::<2>::from_data([[300.0, 301.0, -500.0], [7.0, 8.0, 9.0]], &device);
        let mask = Tensor::<2>::from_data([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]], &device);
        let found = log_sum_exp(x.clone(), &mask, false).into_data().try_to_vec::<f32>().unwrap();
        assert!((found[0] - 301.31326).abs() < 1e-4 && found[1] == 0.0, "{found:?}");
        let found = log_sum_exp(x, &mask, true).into_data().try_to_vec::<f32>().unwrap();
        assert!((found[0] - 301.31326).abs() < 1e-4 && found[1] == 0.0, "{found:?}");
    }
}
