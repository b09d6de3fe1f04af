//! Learning-rate schedule.

/// Cosine annealing by epoch, equal to `torch.optim.lr_scheduler.CosineAnnealingLR` stepped once an epoch.
///
/// ```text
/// lr(t) = floor + (lr - floor) (1 + cos(pi t / length)) / 2
/// ```
/// Loshchilov and Hutter, SGDR, 2017, equation 5. Past `length` the rate rises again, as PyTorch's does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CosineSchedule {
    /// Epochs from the full rate to the floor.
    pub length: usize,
    /// Lowest rate.
    pub floor: f64,
}

impl CosineSchedule {
    /// The rate in `epoch` (from 0) for a full rate `lr`.
    pub fn rate(&self, lr: f64, epoch: usize) -> f64 {
        let phase = std::f64::consts::PI * epoch as f64 / self.length.max(1) as f64;
        self.floor + (lr - self.floor) * (1.0 + phase.cos()) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_full_and_ends_at_the_floor() {
        let schedule = CosineSchedule { length: 5, floor: 1e-8 };
        assert_eq!(schedule.rate(0.1, 0), 0.1);
        assert!((schedule.rate(0.1, 1) - 0.090_450_85).abs() < 1e-8);
        assert!((schedule.rate(0.1, 5) - 1e-8).abs() < 1e-12);
    }
}
