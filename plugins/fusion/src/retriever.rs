//! The component; phases, units and searchers of all children.

use std::path::Path;

use deft_core::prelude::*;
use deft_core::serde_json::{Value, json};
use deft_fuse::Rule;

use crate::config::FusionConfig;
use crate::member::Member;
use crate::search::FusedSearcher;

/// The slot of the retrievers that are fused.
pub(crate) const RETRIEVERS: &str = "retrievers";

/// The component `fusion`.
pub(crate) struct Fusion {
    rule: Rule,
    depth: Option<usize>,
    members: Vec<Member>,
}

impl Component for Fusion {
    type Config = FusionConfig;
    const NAME: &'static str = "fusion";
    const SUMMARY: &'static str = "the hits of several retrievers as one list";
    const CHILDREN: &'static [Slot] = &[Slot::many(RETRIEVERS, Kind::Retriever)];

    fn capabilities() -> Value {
        json!({ "hits_depend_on_k": "depth" })
    }

    fn check(options: &FusionConfig) -> Result<()> {
        if options.depth == Some(0) {
            return Err(Error::option_at("depth", "`depth` must be at least 1 (depth: 0)"));
        }
        options.rule().map(drop)
    }

    fn new(_ctx: &Context<'_>, config: FusionConfig, children: Children) -> Result<Self> {
        let (rule, depth) = (config.rule()?, config.depth);
        let members = Member::all(&children, RETRIEVERS)?;
        rule.check_count(members.len())?;
        Ok(Self { rule, depth, members })
    }
}

impl Retriever for Fusion {
    fn phases(&self, ctx: &Context<'_>, pool: &Pool<'_>) -> Result<Vec<Phase>> {
        let mut phases = Vec::new();
        for member in &self.members {
            phases.extend(member.phases(ctx, pool)?);
        }
        Ok(phases)
    }

    fn run_unit(
        &self,
        ctx: &Context<'_>,
        phase: &str,
        unit: usize,
        pool: &Pool<'_>,
        dirs: &PhaseDirs,
        out: &Path,
    ) -> Result<()> {
        let owned = self.members.iter().find_map(|member| Some((member, member.own_name(phase)?)));
        let (member, own_name) = owned.ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "`fusion` has no such phase")
                .with_context("phase", phase)
        })?;
        member.run_unit(ctx, own_name, unit, pool, dirs, out)
    }

    fn open(
        &self,
        ctx: &Context<'_>,
        pool: &Pool<'_>,
        dirs: &PhaseDirs,
    ) -> Result<Box<dyn Searcher>> {
        let open =
            |member: &Member| -> Result<_> { Ok((member.clone(), member.open(ctx, pool, dirs)?)) };
        Ok(Box::new(FusedSearcher {
            rule: self.rule.clone(),
            depth: self.depth,
            members: self.members.iter().map(open).collect::<Result<_>>()?,
            examples: pool.examples.len(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use deft_core::{Child, Handle, NoServices};
    use deft_fuse::{Method, Normalize};

    use super::*;
    use crate::testing::{Fixed, fusion_of, pool_of, refused};

    fn ctx() -> Context<'static> {
        Context::new(&NoServices, 0, 1)
    }

    fn two() -> Vec<Fixed> {
        vec![Fixed::named("dense"), Fixed::named("task/variant")]
    }

    #[test]
    fn the_phases_are_those_of_the_children_in_their_order_and_stay_theirs() {
        let examples = pool_of(10);
        let pool = Pool { examples: &examples, rows_per_part: 5 };
        let fusion = fusion_of(two(), FusionConfig::default());
        let phases = fusion.phases(&ctx(), &pool).expect("phases");
        let names: Vec<_> = phases.iter().map(|phase| phase.name.as_str()).collect();
        assert_eq!(
            names,
            ["0-dense.note", "0-dense.sum", "1-task-variant.note", "1-task-variant.sum"]
        );
        let owners: Vec<_> = phases.iter().map(Phase::owner).collect();
        let (first, second) = ("retrievers[0]", "retrievers[1]");
        assert_eq!(owners, [(first, "note"), (first, "sum"), (second, "note"), (second, "sum")]);
        let own = Fixed::named("dense").phases(&ctx(), &pool).expect("phases");
        for (passed_on, own) in phases.iter().zip(own) {
            let ours = Phase { name: own.name.clone(), of_child: None, ..passed_on.clone() };
            assert_eq!(ours, own, "but for the name it is the child's");
        }
    }

    #[test]
    fn a_unit_is_done_by_its_child_which_sees_its_own_folders_alone() {
        let examples = pool_of(10);
        let pool = Pool { examples: &examples, rows_per_part: 5 };
        let fusion = fusion_of(two(), FusionConfig::default());
        let phases = fusion.phases(&ctx(), &pool).expect("phases");
        let dir = |phase: &Phase| (phase.name.clone(), PathBuf::from(&phase.name));
        let dirs = PhaseDirs::new(phases.iter().map(dir).collect());
        let store = tempfile::tempdir().expect("a temporary folder");
        let out = store.path().join("out");
        let phase = "1-task-variant.sum";
        fusion.run_unit(&ctx(), phase, 3, &pool, &dirs, &out).expect("done");
        let written = std::fs::read_to_string(&out).expect("written");
        let wanted = "task/variant: sum 3 of note 1-task-variant.note, sum 1-task-variant.sum";
        assert_eq!(written, wanted);
        let error = fusion.run_unit(&ctx(), "note", 0, &pool, &dirs, &out).expect_err("whose?");
        assert_eq!(error.context("phase"), Some("note"));
    }

    #[test]
    fn a_fusion_may_be_a_child_of_a_fusion() {
        let examples = pool_of(10);
        let pool = Pool { examples: &examples, rows_per_part: 5 };
        let inner = Handle::Retriever(Arc::new(fusion_of(two(), FusionConfig::default())));
        let children = Children::new(vec![Child {
            slot: RETRIEVERS.to_owned(),
            name: "fusion".to_owned(),
            identity: String::new(),
            handle: inner,
        }]);
        let outer = Fusion::new(&ctx(), FusionConfig::default(), children).expect("a fusion");
        let phases = outer.phases(&ctx(), &pool).expect("phases");
        assert_eq!(phases[3].name, "0-fusion.1-task-variant.sum");
        assert_eq!(phases[3].owner(), ("retrievers[0].retrievers[1]", "sum"));
        let store = tempfile::tempdir().expect("a temporary folder");
        let (out, dirs) = (store.path().join("out"), PhaseDirs::default());
        outer.run_unit(&ctx(), &phases[3].name, 1, &pool, &dirs, &out).expect("done");
        let written = std::fs::read_to_string(&out).expect("written");
        assert!(written.starts_with("task/variant: sum 1"), "{written}");
    }

    #[test]
    fn a_child_that_fails_is_named_with_its_place() {
        let examples = pool_of(10);
        let pool = Pool { examples: &examples, rows_per_part: 5 };
        for method in ["phases", "run_unit", "open"] {
            let failing = Fixed { fails_in: method, ..Fixed::named("bm25") };
            let fusion = fusion_of(vec![Fixed::named("dense"), failing], FusionConfig::default());
            let (dirs, out) = (PhaseDirs::default(), Path::new("nowhere"));
            let error = match method {
                "phases" => fusion.phases(&ctx(), &pool).err(),
                "run_unit" => fusion.run_unit(&ctx(), "1-bm25.note", 0, &pool, &dirs, out).err(),
                _ => fusion.open(&ctx(), &pool, &dirs).err(),
            };
            let error = error.expect(method);
            assert_eq!(error.context("child"), Some("retrievers[1] (bm25)"));
            // Of a child that the host has built this is the whole path, from the manifest's top.
            assert_eq!(error.option(), Some("fails_in"), "its option is as it was");
            assert_eq!(error.kind(), ErrorKind::Options, "its kind is kept");
        }
    }

    #[test]
    fn options_that_cannot_be_are_named() {
        let default = FusionConfig::default;
        let by_scores = || FusionConfig { method: Method::WeightedSum, ..default() };
        for (option, config) in [
            ("depth", FusionConfig { depth: Some(0), ..default() }),
            ("constant", FusionConfig { constant: Some(f64::NAN), ..default() }),
            ("normalize", FusionConfig { normalize: Some(Normalize::MinMax), ..default() }),
            ("constant", FusionConfig { constant: Some(60.0), ..by_scores() }),
            ("weights[1]", FusionConfig { weights: Some(vec![1.0, -1.0]), ..default() }),
            ("weights", FusionConfig { weights: Some(vec![0.0, 0.0]), ..default() }),
        ] {
            assert_eq!(Fusion::check(&config).expect_err(option).option(), Some(option));
        }
        Fusion::check(&default()).expect("the defaults");
    }

    #[test]
    fn weights_that_do_not_fit_the_retrievers_are_refused_with_both_numbers() {
        for weights in [vec![1.0], vec![1.0, 1.0, 1.0], Vec::new()] {
            let given = weights.len();
            let error =
                refused(two(), FusionConfig { weights: Some(weights), ..FusionConfig::default() });
            assert_eq!((error.kind(), error.option()), (ErrorKind::Options, Some("weights")));
            assert!(error.message().contains(&format!("weights: {given}, lists: 2")), "{error}");
        }
        let none = Fusion::new(&ctx(), FusionConfig::default(), Children::none());
        assert!(none.err().expect("nothing to fuse").message().contains("`retrievers`"));
    }
}
