//! A mixed batch gives each group exactly what the group alone gives.

use kinsight_kernels::*;
use proptest::prelude::*;

use crate::case::{Case, Spec, repeatable, specs};

const NO_SIDES: [LayerSide<'static>; 4] = [LayerSide { low_rank: None, row_scale: None }; 4];
const LORA_SCALE: f32 = 0.75;

/// Without the matrices, which are packed already.
fn small<'a>(case: &'a Case) -> BlockParams<'a> {
    let mut params = case.params();
    BlockTensor::MATRICES.iter().for_each(|matrix| params.tensors[*matrix] = None);
    params
}

fn packed(case: &Case, precision: Precision) -> PackedBlock {
    let dims = case.spec.dims();
    let weights = BlockTensor::MATRICES.map(|matrix| case.tensors[matrix].as_deref().unwrap());
    PackedBlock::new(dims.width, dims.hidden, weights, precision).unwrap()
}

proptest! {
    #![proptest_config(repeatable(48))]

    #[test]
    fn groups_get_what_they_get_alone(spec in specs(), bf16 in any::<bool>(), batches in proptest::array::uniform3(1usize..4)) {
        let precision = if bf16 { Precision::Bf16 } else { Precision::F32 };
        let shared = Case::new(&spec);
        let packed = packed(&shared, precision);
        // Fine-tunings of one backbone: other biases, norms, adapters, prompts and numbers of prompts; the same matrices.
        let cases: Vec<Case> = batches
            .iter()
            .enumerate()
            .map(|(i, &batch)| {
                let prompts = (spec.prompts + i) % 5;
                let mut case = Case::new(&Spec { batch, prompts, seed: spec.seed ^ (i as u64 + 1), ..spec.clone() });
                for matrix in BlockTensor::MATRICES {
                    case.tensors[matrix].clone_from(&shared.tensors[matrix]);
                }
                case
            })
            .collect();
        let mut outs: Vec<Vec<f32>> = cases.iter().map(|case| vec![f32::NAN; case.spec.dims().output_len()]).collect();
        let mut groups: Vec<BlockGroup<'_>> = cases
            .iter()
            .zip(&mut outs)
            .map(|(case, out)| {
                BlockGroup { dims: case.spec.dims(), params: small(case), sides: NO_SIDES, x: &case.x, out }
            })
            .collect();
        block_forward_mixed(&packed, &mut groups).unwrap();
        for (case, out) in cases.iter().zip(&outs) {
            let mut alone = vec![f32::NAN; out.len()];
            block_forward(&case.spec.dims(), &case.params(), precision, &case.x, &mut alone).unwrap();
            prop_assert_eq!(out, &alone);
        }
    }
}

proptest! {
    #![proptest_config(repeatable(48))]

    #[test]
    fn low_rank_products_and_row_scales_beside_a_shared_matrix_equal_those_within_it(
        spec in specs(), bf16 in any::<bool>(), scaled in any::<bool>(), rank in 0usize..3,
    ) {
        let (precision, tolerance) = if bf16 { (Precision::Bf16, 3e-2) } else { (Precision::F32, 1e-5) };
        let hidden = spec.hidden + 24;
        // Without adapters, whose ReLU flips for inputs near 0.
        let spec = Spec { adapter: None, hidden, ..spec };
        let case = Case::new(&spec);
        let packed = packed(&case, precision);
        let dims = spec.dims();
        // Each layer's A, B and row scales.
        let numbers = |len: usize, at: usize, scale: f32| -> Vec<f32> {
            (0..len).map(|i| scale * (((i + at) * 37 % 101) as f32 / 50.0 - 1.0)).collect()
        };
        let additions = BlockTensor::MATRICES.map(|matrix| {
            let [output, input] = matrix.shape(&dims, 0)[..] else { panic!("a matrix") };
            let a = numbers(rank * input, output, 1.0 / (input as f32).sqrt());
            let scales: Vec<f32> = (0..output).map(|i| 0.6 + 0.9 * (i % 7) as f32 / 6.0).collect();
            (a, numbers(output * rank, input, 1.0), scales)
        });

        let mut within = case.clone();
        for (matrix, (a, b, scales)) in BlockTensor::MATRICES.into_iter().zip(&additions) {
            let input = matrix.shape(&dims, 0)[1];
            for (o, row) in within.tensors[matrix].as_mut().unwrap().chunks_exact_mut(input).enumerate() {
                for (r, a) in a.chunks_exact(input).enumerate() {
                    row.iter_mut().zip(a).for_each(|(w, a)| *w += LORA_SCALE * b[o * rank + r] * a);
                }
                let scale = if scaled { scales[o] } else { 1.0 };
                row.iter_mut().for_each(|w| *w *= scale);
            }
        }
        let mut expected = vec![f32::NAN; spec.dims().output_len()];
        block_forward(&spec.dims(), &within.params(), precision, &case.x, &mut expected).unwrap();

        let sides = additions.each_ref().map(|(a, b, scales)| LayerSide {
            low_rank: (rank > 0).then_some(LoraParams { rank, scale: LORA_SCALE, a, b }),
            row_scale: scaled.then_some(&scales[..]),
        });
        let mut out = vec![f32::NAN; expected.len()];
        let mut groups = [BlockGroup { dims, params: small(&case), sides, x: &case.x, out: &mut out }];
        block_forward_mixed(&packed, &mut groups).unwrap();
        let norm = |v: &mut dyn Iterator<Item = f32>| v.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let difference = norm(&mut out.iter().zip(&expected).map(|(a, b)| a - b));
        let size = norm(&mut expected.iter().copied()).max(0.1 * (out.len() as f64).sqrt());
        prop_assert!(difference <= tolerance * size, "{} of {}", difference, size);
    }
}

#[test]
fn a_group_that_does_not_fit_is_named_and_nothing_is_computed() {
    let spec = Spec::plain();
    let case = Case::new(&spec);
    let packed = packed(&case, Precision::F32);
    let (dims, params) = (spec.dims(), small(&case));
    let short = [0.0; 2];
    let with = |tensor| {
        let mut params = params;
        params.tensors[tensor] = Some(&short[..]);
        params
    };
    let mut scaled = NO_SIDES;
    scaled[2].row_scale = Some(&short);
    for (wrong, sides, message) in [
        (with(BlockTensor::Fc2Bias), NO_SIDES, "mlp.fc2.bias holds 2 numbers"),
        (params, scaled, "fc1 row scale holds 2"),
        (with(BlockTensor::Norm2Weight), NO_SIDES, "norm2.weight holds 2"),
        (with(BlockTensor::Scale1), NO_SIDES, "ls1.gamma holds 2"),
    ] {
        let (mut first, mut second) = (vec![7.0; dims.output_len()], vec![7.0; dims.output_len()]);
        let mut groups = [
            BlockGroup { dims, params, sides: NO_SIDES, x: &case.x, out: &mut first },
            BlockGroup { dims, params: wrong, sides, x: &case.x, out: &mut second },
        ];
        let error = block_forward_mixed(&packed, &mut groups).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert!(first.iter().all(|value| *value == 7.0));
    }
    let other = BlockDims { hidden: dims.hidden + 1, ..dims };
    let mut out = vec![0.0; dims.output_len()];
    let mut groups = [BlockGroup { dims: other, params, sides: NO_SIDES, x: &case.x, out: &mut out }];
    assert!(block_forward_mixed(&packed, &mut groups).unwrap_err().to_string().contains("hidden size of a group"));
}
