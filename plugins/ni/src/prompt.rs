//! Prompts: definition, examples and input of an instance, as Tk-Instruct has them.

use deft_core::Result;

use crate::config::{NiConfig, Variant};
use crate::limit::Limit;
use crate::metric::is_space;
use crate::task::{Shown, Task};

/// What makes a prompt of an instance's input.
pub(crate) struct Prompter<'a> {
    pub(crate) task: &'a Task,
    pub(crate) config: &'a NiConfig,
    pub(crate) limit: Option<&'a Limit>,
}

/// The examples in a prompt, those of one kind in each.
#[derive(Default)]
struct Shots {
    positive: Vec<String>,
    negative: Vec<String>,
}

impl Prompter<'_> {
    /// The prompt for an input, within the limit.
    pub(crate) fn prompt(&self, input: &str) -> Result<String> {
        let shots = self.shots(&question(input))?;
        let prompt = self.joined(&shots, &question(input));
        let Some(limit) = self.limit else { return Ok(prompt) };
        if limit.count(&prompt)? <= limit.tokens {
            return Ok(prompt);
        }
        match self.config.variant {
            // The end is cut off, which is the input's and the word that asks for the output.
            Variant::Paper => limit.cut(&prompt),
            Variant::Fixed => self.with_less_input(&shots, input, limit),
        }
    }

    /// As many examples as are wanted, and fit.
    fn shots(&self, question: &str) -> Result<Shots> {
        let mut shots = Shots::default();
        let positive = self.task.positive.iter().take(self.config.positive_examples);
        for (place, shown) in positive.enumerate() {
            shots.positive.push(self.shot("Positive", place, shown));
            if !self.fits(&shots, question)? {
                shots.positive.pop();
                break;
            }
        }
        let negative = self.task.negative.iter().take(self.config.negative_examples);
        for (place, shown) in negative.enumerate() {
            shots.negative.push(self.shot("Negative", place, shown));
            if !self.fits(&shots, question)? {
                shots.negative.pop();
                break;
            }
        }
        Ok(shots)
    }

    fn shot(&self, kind: &str, place: usize, shown: &Shown) -> String {
        let mut text = format!(" {kind} Example {} -\n", place + 1);
        text += &sentence("Input: ", &shown.input);
        text += &sentence(" Output: ", &shown.output);
        if let Some(explanation) = shown.explanation.as_ref().filter(|_| self.config.explanations) {
            text += &sentence(" Explanation: ", explanation);
        }
        text + "\n"
    }

    fn fits(&self, shots: &Shots, question: &str) -> Result<bool> {
        let Some(limit) = self.limit else { return Ok(true) };
        let text = match self.config.variant {
            Variant::Fixed => self.joined(shots, question),
            // The published code joins by spaces what it counts, and leaves out the task's name.
            Variant::Paper => {
                let positive = match shots.negative.as_slice() {
                    [] => counted(&shots.positive),
                    _ => shots.positive.join(" "),
                };
                let negative = counted(&shots.negative);
                format!("{}{positive}{negative}{question}", self.definition())
            }
        };
        Ok(limit.count(&text)? <= limit.tokens)
    }

    fn joined(&self, shots: &Shots, question: &str) -> String {
        let mut name = String::new();
        if self.config.task_name {
            name = self.task.name_by(self.config.variant) + ". ";
        }
        let (positive, negative) = (shots.positive.concat(), shots.negative.concat());
        format!("{name}{}{positive}{negative}{question}", self.definition())
    }

    fn definition(&self) -> String {
        if !self.config.definition {
            return String::new();
        }
        let definition = self.task.definition.first().map_or("", String::as_str);
        sentence("Definition: ", definition) + "\n"
    }

    /// The prompt with as much of the input's beginning as fits; with none if nothing does.
    fn with_less_input(&self, shots: &Shots, input: &str, limit: &Limit) -> Result<String> {
        let mut input = input;
        loop {
            let prompt = self.joined(shots, &question(input));
            let over = limit.count(&prompt)?.saturating_sub(limit.tokens);
            let less = limit.without_last(input, over)?;
            if over == 0 || less.len() == input.len() {
                return Ok(prompt);
            }
            input = less;
        }
    }
}

/// The input, and the word that asks for the output.
fn question(input: &str) -> String {
    format!("Now complete the following example -\n{}Output: ", sentence("Input: ", input))
}

/// A text on a line with a label, and a full stop unless it ends in punctuation.
fn sentence(label: &str, text: &str) -> String {
    let line = format!("{label}{}", text.trim_matches(is_space));
    let stop = if line.ends_with(|c: char| c.is_ascii_punctuation()) { "" } else { "." };
    format!("{line}{stop}\n")
}

/// Examples as the published code counts them: the one to be added is not set apart.
fn counted(shots: &[String]) -> String {
    match shots.split_last() {
        Some((last, before)) => before.join(" ") + last,
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::limit;

    fn shown(text: &str) -> Shown {
        let explanation = Some(format!("because {text}"));
        Shown { input: format!(" {text}? "), output: text.to_owned(), explanation }
    }

    fn task() -> Task {
        Task {
            name: "task7_a".to_owned(),
            source: vec!["B".to_owned()],
            categories: vec!["Text Matching".to_owned()],
            definition: vec!["Do it".to_owned(), "Not this".to_owned()],
            positive: vec![shown("p1"), shown("p2")],
            negative: vec![shown("n1")],
        }
    }

    fn prompt(config: &NiConfig, limit: Option<&Limit>, input: &str) -> String {
        Prompter { task: &task(), config, limit }.prompt(input).unwrap()
    }

    fn with_two_and_one() -> NiConfig {
        NiConfig { positive_examples: 2, negative_examples: 1, ..NiConfig::default() }
    }

    #[test]
    fn the_parts_stand_in_their_order_and_end_in_punctuation() {
        assert_eq!(
            prompt(&NiConfig::default(), None, " x \n"),
            "Definition: Do it.\n\nNow complete the following example -\nInput: x.\nOutput: "
        );
        let config = NiConfig { explanations: true, task_name: true, ..with_two_and_one() };
        assert_eq!(
            prompt(&config, None, "x!"),
            "task7_a. Definition: Do it.\n\n \
             Positive Example 1 -\nInput: p1?\n Output: p1.\n Explanation: because p1.\n\n \
             Positive Example 2 -\nInput: p2?\n Output: p2.\n Explanation: because p2.\n\n \
             Negative Example 1 -\nInput: n1?\n Output: n1.\n Explanation: because n1.\n\n\
             Now complete the following example -\nInput: x!\nOutput: "
        );
        let bare = NiConfig { definition: false, ..NiConfig::default() };
        assert_eq!(
            prompt(&bare, None, ""),
            "Now complete the following example -\nInput: .\nOutput: "
        );
    }

    #[test]
    fn the_papers_name_of_a_task_has_its_source_and_category() {
        let config = NiConfig { variant: Variant::Paper, task_name: true, ..NiConfig::default() };
        assert!(prompt(&config, None, "x").starts_with("task7_b_text_matching. Definition"));
    }

    #[test]
    fn examples_that_do_not_fit_are_left_out() {
        let shots = |tokens| {
            let prompt = prompt(&with_two_and_one(), Some(&limit(tokens)), "one");
            ["Positive Example 1", "Positive Example 2", "Negative Example 1"]
                .map(|shot| prompt.contains(shot))
        };
        let plain = limit(1).count(&prompt(&NiConfig::default(), None, "one")).unwrap();
        let each = 12;
        assert_eq!(shots(plain), [false; 3]);
        assert_eq!(shots(plain + each), [true, false, false]);
        assert_eq!(shots(plain + 2 * each), [true, true, false]);
        assert_eq!(shots(plain + 3 * each), [true; 3]);
    }

    #[test]
    fn a_prompt_that_is_too_long_loses_the_end_of_the_input_and_to_the_paper_its_own() {
        let input = "one two three one two three";
        let config = NiConfig { definition: false, ..NiConfig::default() };
        let whole = prompt(&config, None, input);
        let most = limit(1).count(&whole).unwrap() - 2;
        let fixed = prompt(&config, Some(&limit(most)), input);
        assert_eq!(
            fixed,
            "Now complete the following example -\nInput: one two three one.\nOutput: "
        );
        assert_eq!(limit(1).count(&fixed).unwrap(), most);
        let paper = NiConfig { variant: Variant::Paper, ..config.clone() };
        assert!(!prompt(&paper, Some(&limit(most)), input).contains('\n'));
        let none = prompt(&config, Some(&limit(3)), input);
        assert_eq!(none, "Now complete the following example -\nInput: .\nOutput: ");
    }
}
