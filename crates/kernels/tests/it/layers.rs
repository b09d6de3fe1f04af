//! The linear layer against plain loops in f64.

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
    let (rows, input, output) = (397, 13, 21);
    let [weight, bias, x, d_out] =
        [input * output, output, rows * input, rows * output].map(|len| uniform(&mut rng, len));
    let params = LinearParams { weight: &weight, bias: Some(&bias) };
    let mut tape = Tape::default();
    let [vx, vw, vb] = [mat(rows, &x), mat(output, &weight), mat(1, &bias)].map(|m| tape.leaf(m));
    let transposed = tape.transpose(vw);
    let y = tape.matmul(vx, transposed);
    let y = tape.add_row(y, vb);
    let expected = tape.backward(&[(y, mat(rows, &d_out))]);

    let mut out = vec![f32::NAN; rows * output];
    linear(params, [input, output], Precision::F32, &x, &mut out).unwrap();
    assert_near(&out, &tape.value(y).data);
    let grads = linear_backward(params, [input, output], Precision::F32, &x, &d_out, [true, true]).unwrap();
    assert_near(&grads.weight.unwrap(), expected.of(vw));
    assert_near(&grads.bias.unwrap(), expected.of(vb));
}
