//! Thresholds keep the rates they state.

use kinsight_index::{Calibration, CalibrationRates, Samples, Verdict};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn images() -> Vec<(Vec<f32>, String, String)> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut images = Vec::new();
    for label in 0..20 {
        let center: Vec<f32> = (0..16).map(|_| rng.random_range(-1.0..1.0)).collect();
        for number in 0..10 {
            let row: Vec<f32> = center.iter().map(|value| value + rng.random_range(-0.6..0.6_f32)).collect();
            let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
            images.push((row.iter().map(|v| v / length).collect(), format!("l{label}"), format!("{label}/{number}")));
        }
        // The same picture again: no evidence on how alike different pictures are.
        let copy = images[images.len() - 1].clone();
        images.push(copy);
    }
    images
}

#[test]
fn thresholds_let_no_more_through_than_stated() {
    let images = images();
    let rates = CalibrationRates { duplicate: 0.01, same: 0.002, similar: 0.02 };
    let calibration = Calibration::measure(&Samples::new(images.clone()).unwrap(), rates).unwrap();
    assert!(calibration.duplicate >= calibration.same && calibration.same >= calibration.similar);
    let (mut impostors, mut same, mut similar, mut genuine, mut duplicates) = (0, 0, 0, 0, 0);
    for (i, (a, label, picture)) in images.iter().enumerate() {
        for (b, other, other_picture) in &images[i + 1..] {
            let score: f64 = a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum();
            let verdict = calibration.verdict(score);
            if label != other {
                impostors += 1;
                same += usize::from(verdict >= Verdict::Same);
                similar += usize::from(verdict >= Verdict::Similar);
            } else if picture != other_picture {
                genuine += 1;
                duplicates += usize::from(verdict == Verdict::Duplicate);
            } else {
                assert_eq!(verdict, Verdict::Duplicate, "the same picture twice");
            }
        }
    }
    assert!(same as f64 <= 0.002 * impostors as f64 && same > 0, "{same} of {impostors}");
    assert!(similar as f64 <= 0.02 * impostors as f64 && similar > same, "{similar} of {impostors}");
    assert!(duplicates as f64 <= 0.01 * genuine as f64, "{duplicates} of {genuine}");
    let curve = &calibration.curve;
    assert!(curve.is_sorted_by(|a, b| a.threshold >= b.threshold && a.false_match_rate <= b.false_match_rate));
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let images = images();
    let measure = |images: &[(Vec<f32>, String, String)], rates| {
        Calibration::measure(&Samples::new(images.to_vec()).unwrap(), rates).map(|_| ()).unwrap_err().to_string()
    };
    let rates = CalibrationRates::default();
    assert!(measure(&images[..11], rates).contains("two labels"));
    assert!(measure(&[images[0].clone(), images[11].clone()], rates).contains("two"));
    assert!(measure(&images, CalibrationRates { same: 0.0, ..rates }).contains("above 0"));
    assert!(measure(&images, CalibrationRates { same: 0.5, ..rates }).contains("similar"));
}
