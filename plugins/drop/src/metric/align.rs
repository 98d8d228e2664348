//! The best pairing of two lists.

/// The largest sum of scores that pairs of a row and a column can have, each row and each column in
/// one pair at most: the Hungarian method, in time rows² × columns.
pub(super) fn best_total(rows: usize, columns: usize, score: &dyn Fn(usize, usize) -> f64) -> f64 {
    if rows > columns {
        return best_total(columns, rows, &|row, column| score(column, row));
    }
    let mut pairing = Pairing::new(rows, columns);
    for row in 1..=rows {
        pairing.add(row, score);
    }
    let paired = (1..=columns).filter(|&column| pairing.row_of[column] != 0);
    // Adding zero makes the sum of nothing a plain zero.
    paired.map(|column| score(pairing.row_of[column] - 1, column - 1)).sum::<f64>() + 0.0
}

/// A pairing of the rows added so far. Rows and columns count from 1; 0 stands for none.
struct Pairing {
    /// The prices that prove the pairing the best: no pair's cost is below its row's and its
    /// column's together, and those that are paired cost just that.
    row_price: Vec<f64>,
    column_price: Vec<f64>,
    /// The row that each column is paired with.
    row_of: Vec<usize>,
}

impl Pairing {
    fn new(rows: usize, columns: usize) -> Self {
        Self {
            row_price: vec![0.0; rows + 1],
            column_price: vec![0.0; columns + 1],
            row_of: vec![0; columns + 1],
        }
    }

    /// Pairs one more row: along the cheapest way over pairs that change, to a free column.
    fn add(&mut self, row: usize, score: &dyn Fn(usize, usize) -> f64) {
        let columns = self.row_of.len();
        let mut slack = vec![f64::INFINITY; columns];
        let mut before = vec![0; columns];
        let mut seen = vec![false; columns];
        let mut column = 0;
        self.row_of[0] = row;
        while self.row_of[column] != 0 {
            seen[column] = true;
            let row = self.row_of[column];
            let (mut nearest, mut step) = (0, f64::INFINITY);
            for other in (1..columns).filter(|&other| !seen[other]) {
                let price = self.row_price[row] + self.column_price[other];
                let cost = -score(row - 1, other - 1) - price;
                if cost < slack[other] {
                    slack[other] = cost;
                    before[other] = column;
                }
                if slack[other] < step {
                    step = slack[other];
                    nearest = other;
                }
            }
            self.raise(&seen, &mut slack, step);
            column = nearest;
        }
        while column != 0 {
            self.row_of[column] = self.row_of[before[column]];
            column = before[column];
        }
    }

    /// Changes the prices so that the nearest column comes within reach.
    fn raise(&mut self, seen: &[bool], slack: &mut [f64], step: f64) {
        for column in 0..seen.len() {
            if seen[column] {
                self.row_price[self.row_of[column]] += step;
                self.column_price[column] -= step;
            } else {
                slack[column] -= step;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The best sum by trying every pairing.
    fn tried(rows: &[Vec<f64>], used: &mut Vec<bool>) -> f64 {
        let Some((first, rest)) = rows.split_first() else { return 0.0 };
        let mut best = tried(rest, used);
        for column in 0..first.len() {
            if !used[column] {
                used[column] = true;
                best = best.max(first[column] + tried(rest, used));
                used[column] = false;
            }
        }
        best
    }

    #[test]
    fn the_sum_is_that_of_trying_every_pairing() {
        // A generator of numbers that look random, the same ones each time.
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            f64::from(u8::try_from(state >> 56).expect("eight bits")) / 255.0
        };
        for rows in 0..6 {
            for columns in 0..6 {
                for _ in 0..20 {
                    let scores: Vec<Vec<f64>> =
                        (0..rows).map(|_| (0..columns).map(|_| next()).collect()).collect();
                    let found = best_total(rows, columns, &|row, column| scores[row][column]);
                    let wanted = tried(&scores, &mut vec![false; columns]);
                    assert!((found - wanted).abs() < 1e-9, "{scores:?}: {found}, not {wanted}");
                }
            }
        }
    }

    #[test]
    fn nothing_to_pair_is_zero() {
        let score = |_: usize, _: usize| 1.0;
        assert!(best_total(0, 3, &score).is_sign_positive());
        assert_eq!(best_total(3, 0, &score), 0.0);
        assert_eq!(best_total(2, 3, &score), 2.0);
    }
}
