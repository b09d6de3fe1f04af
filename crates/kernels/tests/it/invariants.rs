//! What must not change the result: the number of threads, what is kept, what else is wanted.

use kinsight_kernels::*;
use proptest::prelude::*;

use crate::case::{Case, Spec, repeatable, specs};

const PRECISIONS: [Precision; 2] = [Precision::F32, Precision::Bf16];

fn busy_spec() -> Spec {
    Spec {
        batch: 11,
        tokens: 9,
        outputs: 9,
        prompts: 3,
        layer_scale: true,
        adapter: Some((AdapterPlacement::Parallel, AdapterNorm::Pre, 4)),
        ..Spec::plain()
    }
}

#[test]
fn tasks_that_share_an_image_change_no_bit() {
    let case = Case::new(&Spec { batch: 2, tokens: 131, outputs: 70, shared_prompts: false, ..busy_spec() });
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let dims = case.spec.dims();
            let mut out = vec![0.0; dims.output_len()];
            block_forward(&dims, &case.params(), Precision::F32, &case.x, &mut out).unwrap();
            (out, case.run(Precision::F32, Checkpoint::None, &case.all_wanted()))
        })
    };
    let one = run(1);
    assert!(one.0 == one.1.out);
    for threads in [2, 8] {
        assert!(run(threads) == one, "{threads} threads");
    }
}

#[test]
fn cached_weights_change_no_bit() {
    let mut case = Case::new(&busy_spec());
    let dims = case.spec.dims();
    for precision in PRECISIONS {
        let cache = WeightCache::new();
        let forward = |case: &Case, cache| {
            let params = BlockParams { cache, ..case.params() };
            let mut out = vec![0.0; dims.output_len()];
            block_forward(&dims, &params, precision, &case.x, &mut out).unwrap();
            out
        };
        let gradients = |case: &Case, cache| {
            let (params, wanted) = (BlockParams { cache, ..case.params() }, case.all_wanted());
            let mut out = vec![0.0; dims.output_len()];
            let saved =
                block_forward_saving(&dims, &params, precision, Checkpoint::None, &wanted, &case.x, &mut out).unwrap();
            let mut d_x = vec![0.0; dims.input_len()];
            let d_x_wanted = Some(&mut d_x[..]);
            block_backward(&dims, &params, precision, &case.x, &saved, &case.d_out, &wanted, d_x_wanted).unwrap();
            d_x
        };
        // The first round fills the cache, the second reads it; in between, what is not cached changes.
        for _ in 0..2 {
            assert!(forward(&case, Some(&cache)) == forward(&case, None));
            assert!(gradients(&case, Some(&cache)) == gradients(&case, None));
            let prompts = case.tensors[BlockTensor::Prompts].as_mut().unwrap();
            prompts.iter_mut().for_each(|value| *value += 0.25);
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for shared_prompts in [true, false] {
        let case = Case::new(&Spec { shared_prompts, ..busy_spec() });
        for precision in PRECISIONS {
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| case.run(precision, Checkpoint::None, &case.all_wanted()))
            };
            let one = run(1);
            for threads in [2, 3, 16] {
                assert!(run(threads) == one, "{threads} threads, {precision:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(repeatable(32))]

    #[test]
    fn computing_the_forward_again_changes_no_bit(spec in specs()) {
        let case = Case::new(&spec);
        for precision in PRECISIONS {
            let wanted = case.all_wanted();
            let kept = case.run(precision, Checkpoint::None, &wanted);
            for keep in [Checkpoint::Mlp, Checkpoint::Block] {
                let again = case.run(precision, keep, &wanted);
                prop_assert!(kept == again, "{:?}", keep);
            }
        }
    }

    #[test]
    fn what_else_is_wanted_changes_no_bit(spec in specs(), mask in any::<u32>()) {
        let case = Case::new(&spec);
        let all = case.all_wanted();
        let wanted = subset(all, mask);
        let full = case.run(Precision::F32, Checkpoint::None, &all);
        let part = case.run(Precision::F32, Checkpoint::None, &wanted);
        prop_assert!(part.out == full.out && part.d_x == full.d_x);
        for (tensor, gradient) in part.grads.iter().filter(|(_, gradient)| gradient.is_some()) {
            prop_assert!(gradient == &full.grads[tensor], "{}", tensor.name());
        }
    }

    #[test]
    fn an_unwanted_input_gradient_changes_no_bit(spec in specs(), mask in any::<u32>()) {
        let case = Case::new(&spec);
        let wanted = subset(case.all_wanted(), mask);
        let with = case.run(Precision::F32, Checkpoint::None, &wanted);
        let (dims, params) = (case.spec.dims(), case.params());
        let mut out = vec![0.0; dims.output_len()];
        let f32 = Precision::F32;
        let saved =
            block_forward_saving(&dims, &params, f32, Checkpoint::None, &wanted, &case.x, &mut out).unwrap();
        let grads =
            block_backward(&dims, &params, f32, &case.x, &saved, &case.d_out, &wanted, None).unwrap();
        prop_assert!(grads == with.grads);
    }

    #[test]
    fn inference_and_training_give_the_same_output(spec in specs()) {
        let case = Case::new(&spec);
        let dims = case.spec.dims();
        for precision in PRECISIONS {
            let mut out = vec![f32::NAN; dims.output_len()];
            block_forward(&dims, &case.params(), precision, &case.x, &mut out).unwrap();
            let trained = case.run(precision, Checkpoint::None, &Wanted::default());
            prop_assert!(out == trained.out);
        }
    }
}

/// The gradients of `all` whose bits in `mask` are set.
fn subset(all: Wanted, mask: u32) -> Wanted {
    Wanted::from_fn(|tensor| all[tensor] && mask >> tensor as u32 & 1 == 1)
}

#[test]
fn what_is_kept_stays_within_its_bound() {
    let spec = Spec { tokens: 30, outputs: 30, head_dim: 16, hidden: 128, ..Spec::plain() };
    let case = Case::new(&spec);
    let dims = spec.dims();
    let mut out = vec![0.0; dims.output_len()];
    let wanted = case.all_wanted();
    let mut bytes = |precision, keep| {
        block_forward_saving(&dims, &case.params(), precision, keep, &wanted, &case.x, &mut out).unwrap().bytes()
    };
    let tokens = dims.batch * dims.tokens;
    let bound = tokens * (9 * dims.width + dims.heads) * 4;
    assert!(bytes(Precision::F32, Checkpoint::None) <= bound);
    assert!(bytes(Precision::F32, Checkpoint::Mlp) <= bound * 6 / 10);
    assert!(bytes(Precision::Bf16, Checkpoint::None) <= bound * 6 / 10);
    assert_eq!(bytes(Precision::F32, Checkpoint::Block), 0);
}

#[test]
fn hidden_layers_are_computed_again_where_they_are_large() {
    let hidden = |images: usize, width: usize| images * 197 * 4 * width;
    let auto = |hidden| Checkpoint::default().for_hidden(hidden);
    assert_eq!(auto(hidden(16, 384)), Checkpoint::None);
    assert_eq!(auto(hidden(64, 384)), Checkpoint::Mlp);
    assert_eq!(auto(hidden(13, 768)), Checkpoint::None);
    assert_eq!(auto(hidden(14, 768)), Checkpoint::Mlp);
    for asked in [Checkpoint::None, Checkpoint::Mlp, Checkpoint::Block] {
        assert_eq!(asked.for_hidden(usize::MAX), asked);
    }
}
