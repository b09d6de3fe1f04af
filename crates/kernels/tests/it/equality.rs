//! The block equals the reference: outputs and every gradient.

use kinsight_kernels::{AdapterNorm, AdapterPlacement, Checkpoint, Precision};
use proptest::prelude::*;

use crate::case::{Case, Spec, repeatable, specs};
use crate::reference;

/// Asserts that every tensor is within `tolerance` of the reference, in relative norm.
fn check(spec: &Spec, precision: Precision, tolerance: f64) {
    let case = Case::new(spec);
    let expected = reference::forward_backward(&case, &reference::tensors(&case));
    let outcome = case.run(precision, Checkpoint::None, &case.all_wanted());
    for (name, found) in outcome.tensors() {
        let expected = &expected[name];
        assert_eq!(found.len(), expected.len(), "{name}");
        let norm = expected.iter().map(|v| v * v).sum::<f64>().sqrt();
        let difference = found.iter().zip(expected).map(|(&a, b)| (f64::from(a) - b).powi(2)).sum::<f64>().sqrt();
        // Gradients that are zero, or cancel to almost zero, are compared with the size of what they are sums of.
        let floor = 0.1 * (found.len() as f64).sqrt();
        assert!(
            difference <= tolerance * norm.max(floor),
            "{name}: differs by {difference:e}, norm {norm:e}, of {spec:?}"
        );
    }
}

proptest! {
    #![proptest_config(repeatable(96))]

    #[test]
    fn f32_equals_the_reference(spec in specs()) {
        check(&spec, Precision::F32, 1e-5);
    }

    // Without adapters, whose ReLU flips for inputs near 0, and wide enough that rounding errors average out somewhat.
    #[test]
    fn bf16_is_near_the_reference(spec in specs()) {
        let hidden = spec.hidden + 24;
        let spec = Spec { adapter: None, hidden, ..spec };
        check(&spec, Precision::Bf16, 3e-2);
    }
}

#[test]
fn every_adapter_equals_the_reference() {
    for placement in [AdapterPlacement::Parallel, AdapterPlacement::Sequential] {
        for norm in [AdapterNorm::Pre, AdapterNorm::Post] {
            let spec = Spec { adapter: Some((placement, norm, 4)), prompts: 3, ..Spec::plain() };
            check(&spec, Precision::F32, 1e-5);
        }
    }
}

#[test]
fn sequences_longer_than_a_block_of_rows_equal_the_reference() {
    let spec = Spec { batch: 1, tokens: 149, outputs: 149, prompts: 5, ..Spec::plain() };
    check(&spec, Precision::F32, 1e-5);
}

#[test]
fn at_the_size_of_a_small_transformer_f32_and_bf16_keep_their_accuracy() {
    let spec =
        Spec { batch: 1, tokens: 50, outputs: 50, prompts: 7, heads: 3, head_dim: 64, hidden: 768, ..Spec::plain() };
    check(&spec, Precision::F32, 1e-5);
    check(&spec, Precision::Bf16, 1e-2);
}
