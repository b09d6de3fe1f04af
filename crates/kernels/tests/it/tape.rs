//! Reverse-mode differentiation of small f64 matrices: the oracle, written for clarity alone.

/// A row-major matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Mat {
    pub rows: usize,
    pub cols: usize,
    pub data: Vec<f64>,
}

impl Mat {
    pub fn new(rows: usize, cols: usize, data: Vec<f64>) -> Self {
        assert_eq!(rows * cols, data.len());
        Self { rows, cols, data }
    }

    fn zeros(rows: usize, cols: usize) -> Self {
        Self::new(rows, cols, vec![0.0; rows * cols])
    }

    fn from_fn(rows: usize, cols: usize, f: impl Fn(usize, usize) -> f64) -> Self {
        let data = (0..rows * cols).map(|i| f(i / cols, i % cols)).collect();
        Self::new(rows, cols, data)
    }

    fn at(&self, r: usize, c: usize) -> f64 {
        self.data[r * self.cols + c]
    }

    fn transpose(&self) -> Self {
        Self::from_fn(self.cols, self.rows, |r, c| self.at(c, r))
    }

    fn matmul(&self, other: &Self) -> Self {
        assert_eq!(self.cols, other.rows);
        Self::from_fn(self.rows, other.cols, |r, c| (0..self.cols).map(|k| self.at(r, k) * other.at(k, c)).sum())
    }

    fn add_assign(&mut self, other: &Self) {
        assert_eq!((self.rows, self.cols), (other.rows, other.cols));
        for (a, b) in self.data.iter_mut().zip(&other.data) {
            *a += b;
        }
    }
}

/// A value on the tape.
#[derive(Clone, Copy, Debug, Default)]
pub struct Var(usize);

enum Op {
    Leaf,
    Matmul(Var, Var),
    Transpose(Var),
    Add(Var, Var),
    AddRow(Var, Var),
    MulRow(Var, Var),
    Scale(Var, f64),
    LayerNorm(Var, f64),
    Softmax(Var),
    Gelu(Var),
    Relu(Var),
    ConcatRows(Var, Var),
    Rows(Var, usize),
    ConcatCols(Var, Var),
    Cols(Var, usize),
}

/// Values in the order in which they were computed.
#[derive(Default)]
pub struct Tape {
    values: Vec<Mat>,
    ops: Vec<Op>,
}

impl Tape {
    fn push(&mut self, value: Mat, op: Op) -> Var {
        self.values.push(value);
        self.ops.push(op);
        Var(self.values.len() - 1)
    }

    pub fn value(&self, var: Var) -> &Mat {
        &self.values[var.0]
    }

    pub fn leaf(&mut self, value: Mat) -> Var {
        self.push(value, Op::Leaf)
    }

    pub fn matmul(&mut self, a: Var, b: Var) -> Var {
        self.push(self.value(a).matmul(self.value(b)), Op::Matmul(a, b))
    }

    pub fn transpose(&mut self, a: Var) -> Var {
        self.push(self.value(a).transpose(), Op::Transpose(a))
    }

    pub fn add(&mut self, a: Var, b: Var) -> Var {
        let mut sum = self.value(a).clone();
        sum.add_assign(self.value(b));
        self.push(sum, Op::Add(a, b))
    }

    pub fn add_row(&mut self, a: Var, row: Var) -> Var {
        let (x, r) = (self.value(a), self.value(row));
        let sum = Mat::from_fn(x.rows, x.cols, |i, j| x.at(i, j) + r.at(0, j));
        self.push(sum, Op::AddRow(a, row))
    }

    pub fn mul_row(&mut self, a: Var, row: Var) -> Var {
        let (x, r) = (self.value(a), self.value(row));
        let product = Mat::from_fn(x.rows, x.cols, |i, j| x.at(i, j) * r.at(0, j));
        self.push(product, Op::MulRow(a, row))
    }

    pub fn scale(&mut self, a: Var, by: f64) -> Var {
        let x = self.value(a);
        let product = Mat::from_fn(x.rows, x.cols, |i, j| x.at(i, j) * by);
        self.push(product, Op::Scale(a, by))
    }

    /// Normalizes each row; scale and shift are `mul_row` and `add_row`.
    pub fn layer_norm(&mut self, a: Var, eps: f64) -> Var {
        let x = self.value(a);
        let stats: Vec<(f64, f64)> = x.data.chunks(x.cols).map(|row| moments(row, eps)).collect();
        let y = Mat::from_fn(x.rows, x.cols, |i, j| (x.at(i, j) - stats[i].0) * stats[i].1);
        self.push(y, Op::LayerNorm(a, eps))
    }

    pub fn softmax(&mut self, a: Var) -> Var {
        let mut y = self.value(a).clone();
        for row in y.data.chunks_mut(y.cols) {
            let largest = row.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
            row.iter_mut().for_each(|v| *v = (*v - largest).exp());
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|v| *v /= sum);
        }
        self.push(y, Op::Softmax(a))
    }

    pub fn gelu(&mut self, a: Var) -> Var {
        let x = self.value(a);
        let y = Mat::from_fn(x.rows, x.cols, |i, j| x.at(i, j) * normal_cdf(x.at(i, j)));
        self.push(y, Op::Gelu(a))
    }

    pub fn relu(&mut self, a: Var) -> Var {
        let x = self.value(a);
        let y = Mat::from_fn(x.rows, x.cols, |i, j| x.at(i, j).max(0.0));
        self.push(y, Op::Relu(a))
    }

    pub fn concat_rows(&mut self, a: Var, b: Var) -> Var {
        let (x, y) = (self.value(a), self.value(b));
        let data = x.data.iter().chain(&y.data).copied().collect();
        self.push(Mat::new(x.rows + y.rows, x.cols, data), Op::ConcatRows(a, b))
    }

    pub fn rows(&mut self, a: Var, first: usize, count: usize) -> Var {
        let x = self.value(a);
        let y = Mat::from_fn(count, x.cols, |i, j| x.at(first + i, j));
        self.push(y, Op::Rows(a, first))
    }

    pub fn concat_cols(&mut self, a: Var, b: Var) -> Var {
        let (x, y) = (self.value(a), self.value(b));
        let z = Mat::from_fn(x.rows, x.cols + y.cols, |i, j| if j < x.cols { x.at(i, j) } else { y.at(i, j - x.cols) });
        self.push(z, Op::ConcatCols(a, b))
    }

    pub fn cols(&mut self, a: Var, first: usize, count: usize) -> Var {
        let x = self.value(a);
        let y = Mat::from_fn(x.rows, count, |i, j| x.at(i, first + j));
        self.push(y, Op::Cols(a, first))
    }

    /// Gradients of every value on the tape, given those of some.
    pub fn backward(&self, seeds: &[(Var, Mat)]) -> Gradients {
        let mut grads: Vec<Mat> = self.values.iter().map(|v| Mat::zeros(v.rows, v.cols)).collect();
        for (var, seed) in seeds {
            grads[var.0].add_assign(seed);
        }
        for i in (0..self.ops.len()).rev() {
            let g = grads[i].clone();
            for (var, d) in self.parents(i, &g) {
                grads[var.0].add_assign(&d);
            }
        }
        Gradients(grads)
    }

    fn parents(&self, i: usize, g: &Mat) -> Vec<(Var, Mat)> {
        let y = &self.values[i];
        let like =
            |v: Var, f: &dyn Fn(usize, usize) -> f64| (v, Mat::from_fn(self.value(v).rows, self.value(v).cols, f));
        match self.ops[i] {
            Op::Leaf => vec![],
            Op::Matmul(a, b) => {
                vec![(a, g.matmul(&self.value(b).transpose())), (b, self.value(a).transpose().matmul(g))]
            }
            Op::Transpose(a) => vec![(a, g.transpose())],
            Op::Add(a, b) => vec![(a, g.clone()), (b, g.clone())],
            Op::AddRow(a, row) => vec![(a, g.clone()), like(row, &|_, j| (0..g.rows).map(|i| g.at(i, j)).sum())],
            Op::MulRow(a, row) => vec![
                like(a, &|i, j| g.at(i, j) * self.value(row).at(0, j)),
                like(row, &|_, j| (0..g.rows).map(|i| g.at(i, j) * self.value(a).at(i, j)).sum()),
            ],
            Op::Scale(a, by) => vec![like(a, &|i, j| g.at(i, j) * by)],
            Op::LayerNorm(a, eps) => {
                let x = self.value(a);
                let n = x.cols as f64;
                let rows: Vec<(f64, f64, f64)> = (0..x.rows)
                    .map(|i| {
                        let rstd = moments(&x.data[i * x.cols..(i + 1) * x.cols], eps).1;
                        let mean_g = (0..x.cols).map(|j| g.at(i, j)).sum::<f64>() / n;
                        let mean_gy = (0..x.cols).map(|j| g.at(i, j) * y.at(i, j)).sum::<f64>() / n;
                        (rstd, mean_g, mean_gy)
                    })
                    .collect();
                vec![like(a, &|i, j| {
                    let (rstd, mean_g, mean_gy) = rows[i];
                    rstd * (g.at(i, j) - mean_g - y.at(i, j) * mean_gy)
                })]
            }
            Op::Softmax(a) => {
                let dots: Vec<f64> = (0..y.rows).map(|i| (0..y.cols).map(|j| g.at(i, j) * y.at(i, j)).sum()).collect();
                vec![like(a, &|i, j| y.at(i, j) * (g.at(i, j) - dots[i]))]
            }
            Op::Gelu(a) => vec![like(a, &|i, j| {
                let x = self.value(a).at(i, j);
                let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
                g.at(i, j) * (normal_cdf(x) + x * density)
            })],
            Op::Relu(a) => vec![like(a, &|i, j| {
                if self.value(a).at(i, j) > 0.0 { g.at(i, j) } else { 0.0 }
            })],
            Op::ConcatRows(a, b) => {
                let first = self.value(a).rows;
                vec![like(a, &|i, j| g.at(i, j)), like(b, &|i, j| g.at(first + i, j))]
            }
            Op::Rows(a, first) => vec![like(a, &|i, j| {
                if i >= first && i < first + g.rows { g.at(i - first, j) } else { 0.0 }
            })],
            Op::ConcatCols(a, b) => {
                let first = self.value(a).cols;
                vec![like(a, &|i, j| g.at(i, j)), like(b, &|i, j| g.at(i, first + j))]
            }
            Op::Cols(a, first) => vec![like(a, &|i, j| {
                if j >= first && j < first + g.cols { g.at(i, j - first) } else { 0.0 }
            })],
        }
    }
}

/// Gradients by value.
pub struct Gradients(Vec<Mat>);

impl Gradients {
    pub fn of(&self, var: Var) -> &[f64] {
        &self.0[var.0].data
    }
}

fn moments(row: &[f64], eps: f64) -> (f64, f64) {
    let n = row.len() as f64;
    let mean = row.iter().sum::<f64>() / n;
    let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
    (mean, 1.0 / (variance + eps).sqrt())
}

/// The standard normal distribution function: a series near 0, a continued fraction beyond.
fn normal_cdf(x: f64) -> f64 {
    let z = x.abs() * std::f64::consts::FRAC_1_SQRT_2;
    let upper_tail = if z < 2.5 {
        let (mut term, mut sum) = (z, z);
        for n in 1..100 {
            term *= -z * z / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        0.5 - 0.5 * sum * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        let fraction = (1..=80).rev().fold(0.0, |f, k| f64::from(k) / 2.0 / (z + f));
        0.5 * (-z * z).exp() / (std::f64::consts::PI.sqrt() * (z + fraction))
    };
    if x < 0.0 { upper_tail } else { 1.0 - upper_tail }
}
