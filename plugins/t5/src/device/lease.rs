//! Memory that goes back with what it was taken for.

use std::ops::Deref;

use super::Placement;

/// A placement that gives memory back when it goes ([`Placement::give_back`]).
///
/// It belongs behind whatever has arrays there: fields go in the order in which they are declared.
#[derive(Debug)]
pub(crate) struct Lease(Placement);

impl From<Placement> for Lease {
    fn from(placement: Placement) -> Self {
        Self(placement)
    }
}

impl Deref for Lease {
    type Target = Placement;

    fn deref(&self) -> &Placement {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.give_back();
    }
}
