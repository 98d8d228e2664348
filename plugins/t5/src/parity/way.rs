//! Where and in what numbers the golden values are computed here.

use candle_core::DType;

use crate::config::Precision;
use crate::device::Placement;
use crate::testing;

/// A place and its numbers, with how near they must come.
pub(super) struct Way {
    pub(super) placement: Placement,
    /// Of a tensor's largest element.
    pub(super) tolerance: f64,
}

/// In main memory in f32 and f64, and on the device that `DEFT_T5_DEVICE` names.
pub(super) fn ways() -> Vec<Way> {
    let f64 = Placement { precision: DType::F64, ..Placement::host() };
    let mut ways = vec![Way::host(), Way { placement: f64, tolerance: 1e-5 }];
    ways.extend(testing::gpu(Precision::F32).map(|placement| Way { placement, ..Way::host() }));
    ways
}

impl Way {
    pub(super) fn host() -> Self {
        Self { placement: Placement::host(), tolerance: 1e-4 }
    }

    /// Compares a tensor: no element is further off than the tolerance of the largest wanted one.
    #[track_caller]
    pub(super) fn assert_near(
        &self,
        what: &str,
        found: impl IntoIterator<Item = f64>,
        wanted: impl IntoIterator<Item = f64>,
    ) {
        let (found, wanted): (Vec<_>, Vec<_>) =
            (found.into_iter().collect(), wanted.into_iter().collect());
        assert_eq!(found.len(), wanted.len(), "{what}: lengths");
        let largest = wanted.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
        for (at, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
            let off = (found - wanted).abs();
            let place = || format!("{what}[{at}] in {:?}", self.placement.precision);
            assert!(
                off <= self.tolerance * largest,
                "{}: {found}, not {wanted} (of {largest})",
                place()
            );
        }
    }
}
