//! How does a text go on? The options are the continuations themselves.

use deft_core::Result;
use deft_records::Record;

use super::{Prompt, Task};
use crate::config::Variant;

/// Choice of plausible alternatives.
#[derive(Debug)]
pub(crate) struct Copa;

impl Task for Copa {
    const NAME: &'static str = "t0/copa";
    const SUMMARY: &'static str = "SuperGLUE COPA: the more plausible cause or effect";
    const DATASET: &'static str = "super_glue";
    const KEPT: &'static [&'static str] = &["idx"];

    fn prompt(record: &Record, variant: Variant) -> Result<Prompt> {
        const QUESTIONS: [(&str, &str); 2] =
            [("cause", "This happened because..."), ("effect", "As a consequence...")];
        let lead = match variant {
            // The published code asks every record for the effect, whatever its `question`.
            Variant::Paper => QUESTIONS[1].1,
            Variant::Fixed => QUESTIONS[record.one_of("question", &QUESTIONS.map(|q| q.0))?].1,
        };
        let premise = record.text("premise")?;
        let choices = [record.text("choice1")?, record.text("choice2")?];
        let input = format!(
            "{premise}  {lead} \nHelp me pick the more plausible option:\n- {}\n- {}",
            choices[0], choices[1]
        );
        Ok(Prompt::new(input, &choices, record.label("label", 2)?))
    }
}

/// Endings of videos' captions and of instructions.
#[derive(Debug)]
pub(crate) struct HellaSwag;

impl Task for HellaSwag {
    const NAME: &'static str = "t0/hellaswag";
    const SUMMARY: &'static str = "HellaSwag: which of four endings a description has";
    const DATASET: &'static str = "hellaswag";
    const KEPT: &'static [&'static str] = &["ind", "source_id"];

    fn prompt(record: &Record, _variant: Variant) -> Result<Prompt> {
        let (first, then) = (record.text("ctx_a")?, record.text("ctx_b")?);
        let endings = record.texts("endings")?;
        let [a, b, c, d] = endings[..] else {
            return Err(record.wrong("endings", "a list of 4 strings"));
        };
        let input = format!(
            "Complete the description with an appropriate ending:\nFirst, {first} Then, {then} \
             ...\n(a) {a}\n(b) {b}\n(c) {c}\n(d) {d}"
        );
        Ok(Prompt::new(input, &endings, record.label("label", 4)?))
    }
}

/// The last sentence of a story of five.
#[derive(Debug)]
pub(crate) struct StoryCloze;

impl Task for StoryCloze {
    const NAME: &'static str = "t0/story_cloze";
    const SUMMARY: &'static str = "StoryCloze 2016: which of two endings a story has";
    const DATASET: &'static str = "story_cloze";
    const KEPT: &'static [&'static str] = &["story_id", "InputStoryid"];

    fn prompt(record: &Record, _variant: Variant) -> Result<Prompt> {
        let names = names(record);
        let endings = [record.text(names.endings[0])?, record.text(names.endings[1])?];
        let input = format!(
            "{} {} {} {} What is a possible continuation for the story given the following \
             options ?\n- {}\n- {}",
            record.text(names.sentences[0])?,
            record.text(names.sentences[1])?,
            record.text(names.sentences[2])?,
            record.text(names.sentences[3])?,
            endings[0],
            endings[1]
        );
        let gold = record.label_from(1, names.right, 2)?;
        Ok(Prompt::new(input, &endings, gold))
    }
}

/// The names of a story's fields.
struct Names {
    sentences: [&'static str; 4],
    endings: [&'static str; 2],
    right: &'static str,
}

static OF_HUGGING_FACE: Names = Names {
    sentences: ["input_sentence_1", "input_sentence_2", "input_sentence_3", "input_sentence_4"],
    endings: ["sentence_quiz1", "sentence_quiz2"],
    right: "answer_right_ending",
};

/// Those of the tables that the authors of `StoryCloze` give out.
static OF_THE_AUTHORS: Names = Names {
    sentences: ["InputSentence1", "InputSentence2", "InputSentence3", "InputSentence4"],
    endings: ["RandomFifthSentenceQuiz1", "RandomFifthSentenceQuiz2"],
    right: "AnswerRightEnding",
};

/// By whose names a record goes: the authors', if it has the first of them.
fn names(record: &Record) -> &'static Names {
    match record.get(OF_THE_AUTHORS.sentences[0]) {
        Some(_) => &OF_THE_AUTHORS,
        None => &OF_HUGGING_FACE,
    }
}
