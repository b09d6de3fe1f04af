//! A mixed batch gives each group exactly what the group alone gives.

use kinsight_kernels::*;
use proptest::prelude::*;

use crate::case::{Case, LORA_SCALE, LinearCase, Spec, repeatable, specs};

fn layer(bias: Option<&[f32]>) -> LayerVariant<'_> {
    LayerVariant { bias, ..LayerVariant::default() }
}

/// The layer's low-rank product, and its scale if wanted, beside its weight.
fn beside<'a>(layer: LinearParams<'a>, scales: &'a [f32], scaled: bool) -> LayerVariant<'a> {
    LayerVariant { bias: layer.bias, low_rank: layer.lora, row_scale: scaled.then_some(scales) }
}

/// The small parameters of `params`.
fn variant<'a>(params: &BlockParams<'a>) -> BlockVariant<'a> {
    BlockVariant {
        norm1: params.norm1,
        qkv: layer(params.qkv.bias),
        proj: layer(params.proj.bias),
        layer_scale1: params.layer_scale1,
        norm2: params.norm2,
        fc1: layer(params.fc1.bias),
        fc2: layer(params.fc2.bias),
        layer_scale2: params.layer_scale2,
        adapter: params.adapter,
        prompts: params.prompts,
    }
}

fn packed(spec: &Spec, params: &BlockParams<'_>, precision: Precision) -> PackedBlock {
    let dims = spec.dims();
    PackedBlock::new(dims.width, dims.hidden, [params.qkv, params.proj, params.fc1, params.fc2], precision).unwrap()
}

proptest! {
    #![proptest_config(repeatable(48))]

    #[test]
    fn groups_get_what_they_get_alone(spec in specs(), bf16 in any::<bool>(), batches in proptest::array::uniform3(1usize..4)) {
        let precision = if bf16 { Precision::Bf16 } else { Precision::F32 };
        let shared = Case::new(&spec);
        let packed = packed(&spec, &shared.params(), precision);
        // Fine-tunings of one backbone: other biases, norms, adapters, prompts and numbers of prompts; the same matrices.
        let cases: Vec<Case> = batches
            .iter()
            .enumerate()
            .map(|(i, &batch)| {
                let prompts = (spec.prompts + i) % 5;
                let mut case = Case::new(&Spec { batch, prompts, seed: spec.seed ^ (i as u64 + 1), ..spec.clone() });
                for (own, shared) in case.linears.iter_mut().zip(&shared.linears).take(4) {
                    own.weight.clone_from(&shared.weight);
                    own.lora.clone_from(&shared.lora);
                }
                case
            })
            .collect();
        let mut outs: Vec<Vec<f32>> = cases.iter().map(|case| vec![f32::NAN; case.spec.dims().output_len()]).collect();
        let mut groups: Vec<BlockGroup<'_>> = cases
            .iter()
            .zip(&mut outs)
            .map(|(case, out)| BlockGroup { dims: case.spec.dims(), variant: variant(&case.params()), x: &case.x, out })
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
        let spec = Spec { adapter: None, lora_rank: rank, hidden, ..spec };
        let case = Case::new(&spec);
        let bare = Case { linears: case.linears.iter().map(|l| LinearCase { lora: None, ..l.clone() }).collect(), ..case.clone() };
        let packed = packed(&spec, &bare.params(), precision);
        let scales: Vec<Vec<f32>> =
            case.linears.iter().map(|l| (0..l.output).map(|i| 0.6 + 0.9 * (i % 7) as f32 / 6.0).collect()).collect();

        let mut within = bare.clone();
        for ((linear, own), scales) in within.linears.iter_mut().zip(&case.linears).zip(&scales).take(4) {
            for (o, row) in linear.weight.chunks_exact_mut(own.input).enumerate() {
                if let Some((a, b)) = &own.lora {
                    for (r, a) in a.chunks_exact(own.input).enumerate() {
                        row.iter_mut().zip(a).for_each(|(w, a)| *w += LORA_SCALE * b[o * rank + r] * a);
                    }
                }
                let scale = if scaled { scales[o] } else { 1.0 };
                row.iter_mut().for_each(|w| *w *= scale);
            }
        }
        let mut expected = vec![f32::NAN; spec.dims().output_len()];
        block_forward(&spec.dims(), &within.params(), precision, &case.x, &mut expected).unwrap();

        let params = case.params();
        let [qkv, proj, fc1, fc2] = [params.qkv, params.proj, params.fc1, params.fc2];
        let variant = BlockVariant {
            qkv: beside(qkv, &scales[0], scaled),
            proj: beside(proj, &scales[1], scaled),
            fc1: beside(fc1, &scales[2], scaled),
            fc2: beside(fc2, &scales[3], scaled),
            ..variant(&params)
        };
        let mut out = vec![f32::NAN; expected.len()];
        let mut groups = [BlockGroup { dims: spec.dims(), variant, x: &case.x, out: &mut out }];
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
    let packed = packed(&spec, &case.params(), Precision::F32);
    let (dims, whole) = (spec.dims(), variant(&case.params()));
    let short = [0.0; 2];
    for (variant, message) in [
        (BlockVariant { fc2: layer(Some(&short)), ..whole }, "fc2.bias holds 2 numbers"),
        (BlockVariant { fc1: LayerVariant { row_scale: Some(&short), ..whole.fc1 }, ..whole }, "fc1 row scale holds 2"),
        (BlockVariant { norm2: LayerNormParams { weight: &short, bias: &short }, ..whole }, "norm2.weight holds 2"),
        (BlockVariant { layer_scale1: Some(&short), ..whole }, "layer_scale1 holds 2"),
    ] {
        let (mut first, mut second) = (vec![7.0; dims.output_len()], vec![7.0; dims.output_len()]);
        let mut groups = [
            BlockGroup { dims, variant: whole, x: &case.x, out: &mut first },
            BlockGroup { dims, variant, x: &case.x, out: &mut second },
        ];
        let error = block_forward_mixed(&packed, &mut groups).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert!(first.iter().all(|value| *value == 7.0));
    }
    let other = BlockDims { hidden: dims.hidden + 1, ..dims };
    let mut out = vec![0.0; dims.output_len()];
    let mut groups = [BlockGroup { dims: other, variant: whole, x: &case.x, out: &mut out }];
    assert!(block_forward_mixed(&packed, &mut groups).unwrap_err().to_string().contains("hidden size of a group"));
}
