//! Checks of what a build leaves on disk.

use deft_core::ErrorKind;

use super::built::Built;
use super::{IndexChecks, K};
use crate::damage::{self, Damage};
use crate::report::{Verdict, ensure, skip_unless};
use crate::services::{SEED, TestServices};

pub(super) fn length(it: &IndexChecks) -> Verdict {
    let built = Built::new(it, it.rows())?;
    let length = built.open("index")?.len();
    ensure!(length == it.rows, "{} rows were added, the index says {length}", it.rows);
    Ok(())
}

pub(super) fn reopened(it: &IndexChecks) -> Verdict {
    let (built, queries) = (Built::new(it, it.rows())?, it.queries());
    let first = built.search(built.open("index")?.as_ref(), &queries, K, 2)?;
    for time in ["second", "third"] {
        let found = built.search(built.open("index")?.as_ref(), &queries, K, 2)?;
        ensure!(found == first, "other hits when opened a {time} time");
    }
    Ok(())
}

pub(super) fn rebuilt(it: &IndexChecks) -> Verdict {
    let (built, queries) = (Built::new(it, it.rows())?, it.queries());
    let first = built.search(built.open("index")?.as_ref(), &queries, K, 2)?;
    for (name, added_at_once) in [("again", it.rows), ("by-small-calls", 70)] {
        built.build(name, added_at_once)?;
        let found = built.search(built.open(name)?.as_ref(), &queries, K, 2)?;
        ensure!(found == first, "other hits when built by calls of {added_at_once} rows");
    }
    Ok(())
}

pub(super) fn damaged(it: &IndexChecks) -> Verdict {
    let (built, queries) = (Built::new(it, it.rows())?, it.queries());
    let whole = built.search(built.open("index")?.as_ref(), &queries, K, 2)?;
    let look = |what: &str| {
        let found =
            built.open("index").and_then(|index| built.search(index.as_ref(), &queries, K, 2));
        match found {
            Ok(found) => ensure!(found == whole, "{what}: opened, and found other hits"),
            Err(error) => {
                ensure!(error.kind() != ErrorKind::Panicked, "{what}: {error}");
            }
        }
        Ok(())
    };
    let dir = built.index_dir("index");
    [Damage::Lengths, Damage::Bits].iter().try_for_each(|&damage| damage::each(&dir, damage, look))
}

pub(super) fn untrained(it: &IndexChecks) -> Verdict {
    skip_unless!(Built::trains(it)?, "it does not train");
    let built = Built::new(it, it.rows())?;
    let services = TestServices::new();
    let ctx = &services.context(SEED, 1);
    let mut builder = built.factory.builder(ctx, built.shape(), None)?;
    let refused = builder.add(ctx, built.matrix(0, it.rows)?);
    let kind = refused.as_ref().err().map(deft_core::Error::kind);
    ensure!(kind == Some(ErrorKind::Unexpected), "`add` without training gave {refused:?}");
    Ok(())
}
