//! The layers around the block against plain loops in f64.

use kinsight_kernels::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::tape::{Mat, Tape};

fn uniform(rng: &mut ChaCha8Rng, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect()
}

fn mat(rows: usize, values: &[f32]) -> Mat {
    let data = values.iter().map(|&v| f64::from(v)).collect();
    Mat::new(rows, values.len() / rows, data)
}

fn assert_near(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let norm = expected.iter().map(|v| v * v).sum::<f64>().sqrt();
    let pairs = found.iter().zip(expected);
    let difference = pairs.map(|(&a, b)| (f64::from(a) - b).powi(2)).sum::<f64>().sqrt();
    assert!(difference <= 1e-5 * norm, "differs by {difference:e}, norm {norm:e}");
}

#[test]
fn linear_layers_and_their_gradients_equal_the_reference() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let (rows, input, output, rank) = (397, 13, 21, 2);
    let [weight, bias, a, b, x, d_out] =
        [input * output, output, rank * input, output * rank, rows * input, rows * output]
            .map(|len| uniform(&mut rng, len));
    let lora = LoraParams { rank, scale: 0.5, a: &a, b: &b };
    let params = LinearParams { weight: &weight, bias: Some(&bias), lora: Some(lora) };
    let mut tape = Tape::default();
    let [vx, vw, vb] = [mat(rows, &x), mat(output, &weight), mat(1, &bias)].map(|m| tape.leaf(m));
    let [la, lb] = [mat(rank, &a), mat(output, &b)].map(|m| tape.leaf(m));
    let low = tape.matmul(lb, la);
    let low = tape.scale(low, 0.5);
    let full = tape.add(vw, low);
    let full = tape.transpose(full);
    let y = tape.matmul(vx, full);
    let y = tape.add_row(y, vb);
    let expected = tape.backward(&[(y, mat(rows, &d_out))]);

    let mut out = vec![f32::NAN; rows * output];
    linear(params, [input, output], Precision::F32, &x, &mut out).unwrap();
    assert_near(&out, &tape.value(y).data);
    let mut d_x = vec![f32::NAN; x.len()];
    let wanted = LinearWanted { weight: true, bias: true, lora: true };
    let sizes = [input, output];
    let grads = linear_backward(params, sizes, Precision::F32, &x, &d_out, wanted, Some(&mut d_x)).unwrap();
    assert_near(&d_x, expected.of(vx));
    assert_near(&grads.weight.unwrap(), expected.of(vw));
    assert_near(&grads.bias.unwrap(), expected.of(vb));
    assert_near(&grads.lora_a.unwrap(), expected.of(la));
    assert_near(&grads.lora_b.unwrap(), expected.of(lb));
}

#[test]
fn layer_norms_and_their_gradients_equal_the_reference() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let (rows, width) = (133, 37);
    let [weight, bias, x, d_out] = [width, width, rows * width, rows * width].map(|len| uniform(&mut rng, len));
    let params = LayerNormParams { weight: &weight, bias: &bias };
    let mut tape = Tape::default();
    let [vx, vw, vb] = [mat(rows, &x), mat(1, &weight), mat(1, &bias)].map(|m| tape.leaf(m));
    let y = tape.layer_norm(vx, f64::from(1e-6f32));
    let y = tape.mul_row(y, vw);
    let y = tape.add_row(y, vb);
    let expected = tape.backward(&[(y, mat(rows, &d_out))]);

    let mut out = vec![f32::NAN; x.len()];
    layer_norm(params, 1e-6, &x, &mut out).unwrap();
    assert_near(&out, &tape.value(y).data);
    let mut d_x = vec![f32::NAN; x.len()];
    let wanted = LayerNormWanted { weight: true, bias: true };
    let grads = layer_norm_backward(params, 1e-6, &x, &d_out, wanted, Some(&mut d_x)).unwrap();
    assert_near(&d_x, expected.of(vx));
    assert_near(&grads.weight.unwrap(), expected.of(vw));
    assert_near(&grads.bias.unwrap(), expected.of(vb));
}
