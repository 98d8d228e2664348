//! Whether a task's evaluation examples can be scored: found out before anything is trained.

use std::path::PathBuf;

use deft_core::{
    Context, Error, ErrorKind, Example, Prediction, PredictionKind, Reader, Result, Services,
    excerpt,
};

use super::splits::Taken;

/// How an example is found that is named by its position, for a hint.
const COUNTED: &str = "positions count from 0";

/// Refuses examples that could not be scored once a model has answered them.
///
/// Only the reader knows what its metric needs of an example, so it scores them all on trial.
pub(super) fn check_scorable(
    reader: &dyn Reader,
    ctx: &Context<'_>,
    taken: &Taken,
    source: &str,
) -> Result<()> {
    let kind = reader.task().prediction;
    check_choices(taken, kind, source)?;
    let services = Silent(ctx.services());
    let ctx = &Context::new(&services, ctx.seed(), ctx.threads());
    let answers: Vec<_> = taken.examples.iter().map(|example| answer(example, kind)).collect();
    let Err(error) = reader.score(ctx, &taken.examples, &answers) else { return Ok(()) };
    if error.kind() != ErrorKind::Data {
        return Err(error);
    }
    // The reader does not say which example it is: the first that it refuses alone.
    let alone = |at: usize| {
        let scored = reader.score(ctx, &taken.examples[at..=at], &answers[at..=at]);
        Some((at, scored.err()?))
    };
    Err(match (0..answers.len()).find_map(alone) {
        Some((at, error)) => located(error, taken, at).with_context("source", source),
        None => error.with_context("source", source),
    })
}

/// An answer that any example can be given, and nobody's loss: its own target, or no option above
/// the others.
fn answer(example: &Example, kind: PredictionKind) -> Prediction {
    let options = example.options.len();
    match kind {
        PredictionKind::Text => Prediction::Text(example.target.clone().unwrap_or_default()),
        PredictionKind::OptionScores => {
            Prediction::OptionScores { log_probs: vec![0.0; options], tokens: vec![1; options] }
        }
    }
}

/// An error about the example at this place; what its reader says to do is kept.
fn located(mut error: Error, taken: &Taken, at: usize) -> Error {
    if error.context("input").is_none() {
        error = error.with_context("input", excerpt(&taken.examples[at].input));
    }
    let remedy = error.hint().unwrap_or(
        "evaluation needs labels, which the test splits of many data sets lack: take the \
         validation split",
    );
    let hint = format!("{remedy}; {COUNTED}");
    error.with_context("position", taken.positions[at]).with_hint(hint)
}

/// Refuses examples without answer choices where there must be some to choose among.
fn check_choices(taken: &Taken, prediction: PredictionKind, source: &str) -> Result<()> {
    let without = taken.examples.iter().position(|example| example.options.is_empty());
    match without.filter(|_| prediction == PredictionKind::OptionScores) {
        Some(one) => Err(Error::new(
            ErrorKind::Data,
            "an evaluation example has no answer choices, which rank classification needs",
        )
        .with_context("source", source)
        .with_context("position", taken.positions[one])
        .with_context("input", excerpt(&taken.examples[one].input))
        .with_hint(format!(
            "look at the source with `deft read`; p3 takes them from `answer_choices`; {COUNTED}"
        ))),
        None => Ok(()),
    }
}

/// The host's services without a word to anybody: what a reader tells of a trial is no result.
struct Silent<'a>(&'a dyn Services);

impl Services for Silent<'_> {
    fn log(&self, _level: log::Level, _target: &str, _message: &str) {}

    fn progress(&self, _done: u64, _total: u64, _unit: &str) {}

    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    fn resolve(&self, name: &str) -> Result<PathBuf> {
        self.0.resolve(name)
    }

    fn call(&self, name: &str, json: &str) -> Result<String> {
        self.0.call(name, json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use deft_core::metrics::{ExampleScore, TaskSpec};
    use deft_core::{ExampleStream, NoServices};

    /// A reader whose metric needs a target, or fails by itself.
    struct Judge {
        prediction: PredictionKind,
        fault: Option<ErrorKind>,
        hint: Option<&'static str>,
    }

    impl Reader for Judge {
        fn open(&self, _ctx: &Context<'_>, _source: &Path) -> Result<Box<dyn ExampleStream>> {
            unreachable!("nothing is read")
        }

        fn task(&self) -> TaskSpec {
            TaskSpec { prediction: self.prediction, metrics: Vec::new() }
        }

        fn score(
            &self,
            _ctx: &Context<'_>,
            examples: &[Example],
            predictions: &[Prediction],
        ) -> Result<Vec<ExampleScore>> {
            assert_eq!(examples.len(), predictions.len());
            if let Some(kind) = self.fault {
                return Err(Error::new(kind, "a fault"));
            }
            if examples.iter().any(|example| example.target.is_none()) {
                let error = Error::new(ErrorKind::Data, "there is no target");
                return Err(match self.hint {
                    Some(hint) => error.with_hint(hint),
                    None => error,
                });
            }
            Ok(vec![ExampleScore::default(); examples.len()])
        }
    }

    /// Three examples from other places of a source, of which these have a target.
    fn taken(labelled: [bool; 3]) -> Taken {
        let example = |(at, is_labelled): (usize, bool)| Example {
            input: format!("input {at}"),
            target: is_labelled.then(|| "a".to_owned()),
            options: vec!["a".to_owned()],
            ..Example::default()
        };
        let examples = labelled.into_iter().enumerate().map(example).collect();
        Taken { examples, positions: vec![7, 4, 9] }
    }

    fn check(judge: &Judge, taken: &Taken) -> Result<()> {
        check_scorable(judge, &Context::new(&NoServices, 0, 1), taken, "test.jsonl")
    }

    #[test]
    fn an_unlabelled_example_is_named_by_its_position_in_the_source() {
        for prediction in [PredictionKind::Text, PredictionKind::OptionScores] {
            let judge = Judge { prediction, fault: None, hint: None };
            check(&judge, &taken([true; 3])).unwrap();
            let error = check(&judge, &taken([true, false, false])).unwrap_err();
            assert_eq!(
                error.to_string(),
                "there is no target (input: input 1, position: 4, source: test.jsonl)"
            );
            let hint = error.hint().unwrap();
            assert!(hint.contains("validation") && hint.ends_with(COUNTED), "{hint}");
        }
    }

    #[test]
    fn what_the_reader_says_to_do_is_kept() {
        let prediction = PredictionKind::Text;
        let judge = Judge { prediction, fault: None, hint: Some("look at `gold`") };
        let error = check(&judge, &taken([false, true, true])).unwrap_err();
        assert_eq!(error.context("position"), Some("7"));
        assert_eq!(error.hint(), Some("look at `gold`; positions count from 0"));
    }

    #[test]
    fn examples_without_choices_are_refused_only_where_there_must_be_some() {
        let mut taken = taken([true; 3]);
        taken.examples[2].options.clear();
        let judge = |prediction| Judge { prediction, fault: None, hint: None };
        check(&judge(PredictionKind::Text), &taken).unwrap();
        let error = check(&judge(PredictionKind::OptionScores), &taken).unwrap_err();
        assert_eq!(error.context("position"), Some("9"));
        assert!(error.hint().is_some_and(|hint| hint.ends_with(COUNTED)), "{error}");
    }

    #[test]
    fn what_is_no_fault_of_an_example_is_left_as_it_is() {
        let judge = |kind| Judge {
            prediction: PredictionKind::OptionScores,
            fault: Some(kind),
            hint: None,
        };
        let error = check(&judge(ErrorKind::Plugin), &taken([true; 3])).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.hint()), ("a fault", None));
    }
}
