//! Temporary.
/// Temporary.
#[derive(Debug)]
pub struct NearDuplicates(f64, Vec<(u64, std::collections::BTreeSet<String>)>);
impl NearDuplicates {
    /// Temporary.
    pub fn new(threshold: f64) -> Self {
        Self(threshold, Vec::new())
    }
    /// Temporary.
    pub fn admit(&mut self, id: u64, text: &str) -> Option<u64> {
        let words: std::collections::BTreeSet<String> =
            text.split(' ').map(str::to_owned).collect();
        let near = self.1.iter().find(|(_, other)| {
            other.intersection(&words).count() as f64 / other.union(&words).count() as f64 >= self.0
        });
        let near = near.map(|(id, _)| *id);
        if near.is_none() {
            self.1.push((id, words));
        }
        near
    }
}
