//! The product of two matrices: blocks of sums that stay in registers.

use std::ops::{Add, Mul};

/// Rows of the product that are summed at once.
const ROWS: usize = 8;
/// Columns of the product that are summed at once.
const COLUMNS: usize = 4;

/// What products are summed in.
pub(super) trait Sum: Copy + Default + Add<Output = Self> + Mul<Output = Self> {
    /// The nearest number of this type.
    fn of(number: f64) -> Self;
    /// The same number.
    fn wide(self) -> f64;
}

impl Sum for f32 {
    #[expect(clippy::cast_possible_truncation, reason = "rounding is what this is for")]
    fn of(number: f64) -> Self {
        number as f32
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Sum for f64 {
    fn of(number: f64) -> Self {
        number
    }
    fn wide(self) -> f64 {
        self
    }
}

/// The sum over `k` of `left(row, k) · right(k, column)` for each place of an `m` × `n` matrix, each in
/// order of `k`; they are given to `each` with row and column.
pub(super) fn multiply<T: Sum>(
    (m, n, k): (usize, usize, usize),
    left: impl Fn(usize, usize) -> f64,
    right: impl Fn(usize, usize) -> f64,
    mut each: impl FnMut(usize, usize, T),
) {
    let left = packed::<T, ROWS>(m, k, left);
    let right = packed::<T, COLUMNS>(n, k, |column, at| right(at, column));
    for column in (0..n).step_by(COLUMNS) {
        for row in (0..m).step_by(ROWS) {
            let sums = block(&left[row / ROWS * k..][..k], &right[column / COLUMNS * k..][..k]);
            for (j, sums) in sums.iter().enumerate().take(n - column) {
                for (i, sum) in sums.iter().enumerate().take(m - row) {
                    each(row + i, column + j, *sum);
                }
            }
        }
    }
}

/// Lines of a matrix in groups of `LINES`, for each group the numbers of all its lines at 0, at 1, and
/// so on; the last group has zeros for lines that are not there.
fn packed<T: Sum, const LINES: usize>(
    lines: usize,
    length: usize,
    number: impl Fn(usize, usize) -> f64,
) -> Vec<[T; LINES]> {
    let mut packed = vec![[T::default(); LINES]; lines.div_ceil(LINES) * length];
    for line in 0..lines {
        let group = &mut packed[line / LINES * length..][..length];
        for (at, place) in group.iter_mut().enumerate() {
            place[line % LINES] = T::of(number(line, at));
        }
    }
    packed
}

/// The sums of one block.
fn block<T: Sum>(left: &[[T; ROWS]], right: &[[T; COLUMNS]]) -> [[T; ROWS]; COLUMNS] {
    let mut sums = [[T::default(); ROWS]; COLUMNS];
    for (left, right) in left.iter().zip(right) {
        for (sums, right) in sums.iter_mut().zip(right) {
            for (sum, left) in sums.iter_mut().zip(left) {
                *sum = *sum + *left * *right;
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_summed_in_order_whatever_the_size() {
        let left = |row: usize, at: usize| (row * 7 + at) as f64 / 3.0;
        let right = |at: usize, column: usize| (at * 5 + column) as f64 / 7.0;
        for (m, n, k) in [(1, 1, 1), (8, 4, 3), (9, 5, 40), (3, 17, 2), (5, 5, 0)] {
            let mut seen = 0;
            multiply::<f32>((m, n, k), left, right, |row, column, sum| {
                let term = |at| f32::of(left(row, at)) * f32::of(right(at, column));
                assert_eq!(sum, (0..k).map(term).fold(0.0, Add::add));
                seen += 1;
            });
            assert_eq!(seen, m * n);
        }
    }
}
