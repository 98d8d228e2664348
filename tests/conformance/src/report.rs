//! What came of a component's checks.

use std::fmt;

use deft_core::Error;

/// What came of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The promise was kept.
    Passed,
    /// It was broken, and how.
    Failed(String),
    /// It was not checked, and why.
    Skipped(String),
}

/// One check and what came of it.
#[derive(Debug, Clone)]
pub struct Tested {
    /// The check's name.
    pub name: &'static str,
    /// What a component promises, as one sentence.
    pub promise: &'static str,
    /// Whether it kept it.
    pub outcome: Outcome,
}

/// What came of all checks of a component.
#[derive(Debug, Clone)]
pub struct Report {
    /// The component: `encoder hash`.
    pub component: String,
    /// Every check of its kind.
    pub tested: Vec<Tested>,
}

impl Report {
    /// Names of the checks that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        let failed = |tested: &&Tested| matches!(tested.outcome, Outcome::Failed(_));
        self.tested.iter().filter(failed).map(|tested| tested.name).collect()
    }

    /// Prints the report.
    ///
    /// # Panics
    ///
    /// With the report, when a check failed.
    #[expect(clippy::print_stdout, reason = "for the log of the tests")]
    pub fn require(&self) {
        assert!(self.failed().is_empty(), "{self}");
        println!("{self}");
    }

    pub(crate) fn of<T>(component: String, subject: &T, checks: &[Check<T>]) -> Self {
        let mut report = Self { component, tested: Vec::new() };
        report.add(subject, checks);
        report
    }

    /// Runs checks and adds what came of them.
    pub(crate) fn add<T>(&mut self, subject: &T, checks: &[Check<T>]) {
        let run = |check: &Check<T>| {
            let outcome = match (check.run)(subject) {
                Ok(()) => Outcome::Passed,
                Err(Unmet::Broken(how)) => Outcome::Failed(how),
                Err(Unmet::Skipped(why)) => Outcome::Skipped(why),
            };
            Tested { name: check.name, promise: check.promise, outcome }
        };
        self.tested.extend(checks.iter().map(run));
    }
}

impl fmt::Display for Report {
    /// The failed ones first: they are what is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.failed().len();
        writeln!(f, "{}: {failed} of {} checks failed", self.component, self.tested.len())?;
        for Tested { name, promise, outcome } in &self.tested {
            if let Outcome::Failed(how) = outcome {
                writeln!(f, "  FAILED {name}: {promise}\n         {how}")?;
            }
        }
        for Tested { name, outcome, .. } in &self.tested {
            match outcome {
                Outcome::Passed => writeln!(f, "  passed {name}")?,
                Outcome::Skipped(why) => writeln!(f, "  skipped {name}: {why}")?,
                Outcome::Failed(_) => {}
            }
        }
        Ok(())
    }
}

/// A promise of a trait and what shows whether it is kept.
pub(crate) struct Check<T> {
    pub(crate) name: &'static str,
    pub(crate) promise: &'static str,
    pub(crate) run: fn(&T) -> Verdict,
}

impl<T> Check<T> {
    pub(crate) const fn new(
        name: &'static str,
        promise: &'static str,
        run: fn(&T) -> Verdict,
    ) -> Self {
        Self { name, promise, run }
    }
}

/// Whether a promise is kept.
pub(crate) type Verdict<T = ()> = Result<T, Unmet>;

/// Why a check did not pass.
#[derive(Debug)]
pub(crate) enum Unmet {
    Broken(String),
    Skipped(String),
}

impl From<Error> for Unmet {
    fn from(error: Error) -> Self {
        Self::Broken(format!("an error where there should be none: {error}"))
    }
}

impl From<std::io::Error> for Unmet {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(format!("the check itself could not read or write: {error}"))
    }
}

/// Leaves a check whose promise is broken.
macro_rules! ensure {
    ($kept:expr, $($how:tt)+) => {{
        // Named, so that a comparison with what is no number is not kept either.
        let is_kept: bool = $kept;
        if !is_kept {
            return Err($crate::report::Unmet::Broken(format!($($how)+)));
        }
    }};
}

/// Leaves a check that does not apply.
macro_rules! skip_unless {
    ($applies:expr, $why:expr) => {
        if !$applies {
            return Err($crate::report::Unmet::Skipped($why.to_owned()));
        }
    };
}

pub(crate) use {ensure, skip_unless};
