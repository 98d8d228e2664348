//! Whose a retriever's phases are: its own, or those of a child that it passes on.
//!
//! A stage belongs to the component whose phase it is. What a child makes is the same wherever the
//! child is, so it lies in the same folder of the store: alone in an arm, or below another retriever.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use deft_core::{Error, ErrorKind, Fingerprint, Phase, Result};

use crate::components::Plan;

/// Fingerprints of a retriever's phases over a pool, each with all before it that it may build on, and
/// what comes of all.
///
/// # Errors
///
/// [`ErrorKind::Plugin`] when a phase is said to be that of a child that there is not.
pub(super) fn chained(
    phases: &[Phase],
    pool: &str,
    plan: &Plan,
) -> Result<(Vec<String>, Fingerprint)> {
    chained_by(phases, |place| {
        let owner = plan.below(place).ok_or_else(|| no_such_child(plan, place))?;
        Ok(Fingerprint::new().with(pool).with(owner.plugin_version()))
    })
}

fn no_such_child(plan: &Plan, place: &str) -> Error {
    Error::new(ErrorKind::Plugin, "a phase is said to be that of a child that there is not")
        .with_context("component", format!("retriever {}", plan.name()))
        .with_context("plugin", plan.plugin_version())
        .with_context("child", place)
}

/// The same, with what the chain of the component at a place begins with.
fn chained_by(
    phases: &[Phase],
    begin: impl Fn(&str) -> Result<Fingerprint>,
) -> Result<(Vec<String>, Fingerprint)> {
    let mut chains: HashMap<&str, Fingerprint> = HashMap::from([("", begin("")?)]);
    let mut prints = Vec::with_capacity(phases.len());
    for phase in phases {
        let (owner, name) = phase.owner();
        let chain = chain_of(&mut chains, owner, &begin)?;
        chain.add(name.as_bytes());
        chain.add(phase.fingerprint.as_bytes());
        let print = chain.clone().short();
        // Components above may build on what is made below them.
        for above in std::iter::successors(parent(owner), |&place| parent(place)) {
            chain_of(&mut chains, above, &begin)?.add(print.as_bytes());
        }
        prints.push(print);
    }
    let all = chain_of(&mut chains, "", &begin)?.clone();
    Ok((prints, all))
}

fn chain_of<'c, 'p>(
    chains: &'c mut HashMap<&'p str, Fingerprint>,
    place: &'p str,
    begin: &impl Fn(&str) -> Result<Fingerprint>,
) -> Result<&'c mut Fingerprint> {
    Ok(match chains.entry(place) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => entry.insert(begin(place)?),
    })
}

/// The place of the component that has the one at this place as a child.
fn parent(place: &str) -> Option<&str> {
    let is_child = !place.is_empty();
    is_child.then(|| place.rfind('.').map_or("", |dot| &place[..dot]))
}

/// Whether phases of the component at one place may build on those of another: on its own, and on
/// those of what is below it.
pub(super) fn builds_on(owner: &str, earlier: &str) -> bool {
    let below = earlier.strip_prefix(owner);
    owner.is_empty() || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The phase as the component says it whose phase it is.
pub(super) fn as_owned(phase: &Phase) -> Phase {
    let (_, name) = phase.owner();
    Phase { name: name.to_owned(), of_child: None, ..phase.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(name: &str, fingerprint: &str) -> Phase {
        let (name, fingerprint) = (name.to_owned(), fingerprint.to_owned());
        Phase { name, fingerprint, ..Phase::default() }
    }

    /// The phases of a child, as its parent passes them on.
    fn passed_on(phases: &[Phase], place: &str) -> Vec<Phase> {
        let pass =
            |phase: &Phase| phase.clone().passed_on(place, format!("{place} {}", phase.name));
        phases.iter().map(pass).collect()
    }

    /// Fingerprints where the plugin of every component has the same version.
    fn chain(phases: &[Phase]) -> (Vec<String>, String) {
        let begin = |_: &str| Ok(Fingerprint::new().with("pool").with("plugin 1"));
        let (prints, all) = chained_by(phases, begin).unwrap();
        (prints, all.short())
    }

    #[test]
    fn a_phase_follows_from_those_before_it() {
        let (base, all) = chain(&[phase("encode", "a"), phase("index", "b")]);
        let (other, other_all) = chain(&[phase("encode", "c"), phase("index", "b")]);
        assert!(base[0] != other[0] && base[1] != other[1] && all != other_all);
        assert_eq!(all, base[1], "what comes of all is the last");
        let plain = Fingerprint::new().with("pool").with("plugin 1").with("encode").with("a");
        assert_eq!(base[0], plain.short());
    }

    #[test]
    fn a_childs_phases_are_what_they_are_without_the_parent() {
        let (dense, bm25) =
            (vec![phase("encode", "a"), phase("index", "b")], vec![phase("index", "c")]);
        let (alone, _) = chain(&dense);
        let both = [passed_on(&dense, "rs[0]"), passed_on(&bm25, "rs[1]")].concat();
        let (prints, all) = chain(&both);
        assert_eq!(prints[..2], alone[..]);
        assert_eq!(prints[2..], chain(&bm25).0[..], "nothing of its sister's is in it");
        assert_eq!(chain(&passed_on(&both, "rs[1]")).0, prints, "nor two steps below");
        let turned = [passed_on(&bm25, "rs[0]"), passed_on(&dense, "rs[1]")].concat();
        assert_ne!(chain(&turned).1, all, "what comes of all is another");
    }

    #[test]
    fn a_parents_own_phase_follows_from_its_childrens() {
        let own = |child: &str| {
            let child = passed_on(&[phase("index", child)], "rs[0]");
            chain(&[child, vec![phase("merge", "m")]].concat()).0.remove(1)
        };
        assert_ne!(own("a"), own("b"));
    }

    #[test]
    fn a_component_builds_on_its_own_phases_and_on_those_below_it() {
        for (owner, earlier, builds) in [
            ("", "", true),
            ("", "rs[0]", true),
            ("rs[0]", "rs[0]", true),
            ("rs[0]", "rs[0].rs[1]", true),
            ("rs[0]", "", false),
            ("rs[0]", "rs[1]", false),
            ("rs", "rs2", false),
        ] {
            assert_eq!(builds_on(owner, earlier), builds, "{owner} on {earlier}");
        }
    }

    #[test]
    fn what_a_card_says_of_a_phase_does_not_depend_on_who_passes_it_on() {
        let own = phase("index", "b");
        assert_eq!(as_owned(&own.clone().passed_on("rs[0]", "0-bm25.index")), own);
    }
}
