//! Tests of the reader on small made-up tasks, and on the real ones where they are there.

use super::*;
use std::fs;
use std::path::PathBuf;

use crate::config::{SplitName, Variant};
use deft_core::NoServices;
use deft_core::metrics::aggregate;

/// A task of this category with so many instances, each with two outputs.
fn task(category: &str, count: usize) -> Value {
    let instance = |number: usize| {
        let output = [format!("yes {number}"), "no".to_owned()];
        json!({"id": format!("i{number}"), "input": format!("x{number}"), "output": output})
    };
    let instances: Vec<_> = (0..count).map(instance).collect();
    json!({"Definition": ["Do it."], "Categories": [category], "Instances": instances})
}

/// A folder with two tasks, the second of which is in the list `test`.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("tasks/task1_a.json", task("Text Matching", 3).to_string());
    write("tasks/task2_b.json", task("Entailment", 120).to_string());
    write("splits/default/test_tasks.txt", "task2_b\n".to_owned());
    dir
}

fn read_by(path: &Path, config: &NiConfig, max: usize) -> Result<Batch> {
    let ctx = Context::new(&NoServices, 0, 1);
    let reader = NiReader::new(&ctx, config.clone(), Children::none())?;
    let mut stream = reader.open(&ctx, path)?;
    let mut all = Batch::default();
    while let Some(batch) = stream.next_batch(&ctx, max)? {
        assert!(batch.examples.len() <= max);
        all.examples.extend(batch.examples);
        all.skipped.extend(batch.skipped);
    }
    Ok(all)
}

fn read(path: &Path, config: &NiConfig) -> Vec<Example> {
    read_by(path, config, 50).unwrap().examples
}

fn all() -> NiConfig {
    NiConfig { instances_per_task: None, ..NiConfig::default() }
}

fn score(examples: &[Example], answer: impl Fn(&Example) -> String) -> Result<Vec<ExampleScore>> {
    let ctx = Context::new(&NoServices, 0, 1);
    let predictions: Vec<_> = examples.iter().map(|e| Prediction::Text(answer(e))).collect();
    NiReader::new(&ctx, all(), Children::none())?.score(&ctx, examples, &predictions)
}

/// A path of the shared files, if they are here.
fn shared(path: &str) -> Option<PathBuf> {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let root = std::env::var_os("DEFT_SHARED").map_or_else(|| here.into(), PathBuf::from);
    let path = root.join(path);
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn an_instance_is_an_example_with_its_task_and_all_its_outputs() {
    let dir = folder();
    let examples = read(dir.path(), &all());
    assert_eq!(examples.len(), 123);
    assert_eq!(
        examples[1].input,
        "Definition: Do it.\n\nNow complete the following example -\nInput: x1.\nOutput: "
    );
    assert!(examples[1].options.is_empty());
    assert_eq!(examples[1].provenance.dataset, "task1_a");
    assert_eq!(
        Value::from(examples[1].extra.clone()),
        json!({
            "id": "i1", "task": "task1_a", "category": "Text Matching",
            "references": ["yes 1", "no"],
        })
    );
    for max in [1, 7] {
        assert_eq!(read_by(dir.path(), &all(), max).unwrap().examples, examples);
    }
}

#[test]
fn one_output_is_chosen_as_python_does() {
    let dir = folder();
    let examples = read(&dir.path().join("tasks/task1_a.json"), &all());
    let targets: Vec<_> = examples.iter().map(|example| example.target.as_deref()).collect();
    // random.Random(42).choice of two, three times: the first, the first, the second.
    assert_eq!(targets, [Some("yes 0"), Some("yes 1"), Some("no")]);
}

#[test]
fn tasks_are_selected_by_split_category_and_name() {
    let dir = folder();
    let count = |config: &NiConfig| read(dir.path(), config).len();
    assert_eq!(count(&NiConfig { split: Some(SplitName::Test), ..all() }), 100);
    assert_eq!(count(&NiConfig { categories: vec!["text matching".to_owned()], ..all() }), 3);
    assert_eq!(count(&NiConfig { tasks: vec!["task2".to_owned()], ..all() }), 120);
    assert_eq!(count(&NiConfig { instances_per_task: Some(5), ..all() }), 3 + 5);
}

#[test]
fn a_category_that_no_task_of_a_folder_has_is_refused_also_where_others_match() {
    let dir = folder();
    let of = |asked: &[&str]| NiConfig {
        categories: asked.iter().map(|&name| name.to_owned()).collect(),
        ..all()
    };
    for (asked, place) in [(&["Entailmnet"][..], 0), (&["Text Matching", "Entailmnet"][..], 1)] {
        for max in [1, 200] {
            let error = read_by(dir.path(), &of(asked), max).unwrap_err();
            assert_eq!(error.option(), Some(&*format!("categories[{place}]")));
            assert_eq!(
                error.hint(),
                Some("did you mean `Entailment`? its categories: Entailment, Text Matching")
            );
        }
    }
    // A file may be one of several sources, another of which has the category.
    assert!(read(&dir.path().join("tasks/task1_a.json"), &of(&["Entailment"])).is_empty());
}

#[test]
fn rows_of_the_published_loader_are_read_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    let row = json!({
        "Task": "task9_x", "Definition": ["Do it."], "Instance": {"id": "i", "input": "x"},
    });
    fs::write(&path, format!("{row}\n\n{row}\n{{\"Definition\": \"d\"}}\n")).unwrap();
    let error = read_by(&path, &NiConfig::default(), 9).unwrap_err();
    assert_eq!(error.message(), "the row has no `Instance`");
    assert_eq!(error.context("line"), Some("4"));
    fs::write(&path, format!("{row}\n\n{row}\n")).unwrap();
    let batch = read_by(&path, &NiConfig::default(), 9).unwrap();
    assert_eq!((batch.examples.len(), batch.skipped.len()), (2, 1));
    assert_eq!(batch.examples[0].provenance.dataset, "task9_x");
    assert_eq!(batch.examples[0].target, None, "the output is withheld");
}

#[test]
fn scores_are_of_the_best_output_and_grouped_by_category_and_task() {
    let dir = folder();
    let examples = read(dir.path(), &all());
    let scores = score(&examples, |example| {
        if example.provenance.dataset == "task1_a" { "No!".to_owned() } else { String::new() }
    })
    .unwrap();
    assert_eq!(scores[0].group, "text_matching/task1_a");
    assert_eq!(scores[3].group, "entailment/task2_b");
    let ctx = Context::new(&NoServices, 0, 1);
    let spec = NiReader::new(&ctx, all(), Children::none()).unwrap().task();
    let values: Vec<f64> =
        spec.metrics.iter().map(|metric| aggregate(metric, &scores, 1).unwrap().value).collect();
    assert_eq!(values, [3.0 / 123.0, 3.0 / 123.0, 0.5]);
}

#[test]
fn to_the_paper_a_scores_group_has_the_task_as_the_published_evaluation_calls_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("task1356_xlsum.json");
    let mut content = task("Title Generation", 1);
    content["Source"] = json!(["XLSum"]);
    fs::write(&path, content.to_string()).unwrap();
    let group = |variant| {
        let examples = read(&path, &NiConfig { variant, ..all() });
        assert_eq!(examples[0].provenance.dataset, "task1356_xlsum");
        score(&examples, |_| String::new()).unwrap()[0].group.clone()
    };
    assert_eq!(group(Variant::Fixed), "title_generation/task1356_xlsum");
    assert_eq!(group(Variant::Paper), "title_generation/task1356_xlsum_title_generation");
}

#[test]
fn an_example_without_outputs_cannot_be_scored() {
    let dir = folder();
    let mut examples = read(dir.path(), &all());
    examples[0].extra.insert("references".to_owned(), json!([]));
    let error = score(&examples, |_| String::new()).unwrap_err();
    assert_eq!(error.message(), "the example has no output to be scored against");
}

#[test]
fn options_that_leave_nothing_are_refused() {
    let check = |options: NiConfig, name: &str| {
        assert_eq!(NiReader::check(&options).unwrap_err().option(), Some(name));
    };
    let tokenizer = || Some("t5".to_owned());
    let none = NiConfig { max_tokens: Some(0), tokenizer: tokenizer(), ..all() };
    check(none, "max_tokens");
    check(NiConfig { instances_per_task: Some(0), ..all() }, "instances_per_task");
    assert!(NiReader::check(&all()).is_ok());
    assert!(NiReader::check(&NiConfig { tokenizer: tokenizer(), ..all() }).is_ok());
}

#[test]
fn a_number_of_tokens_that_nothing_counts_is_refused() {
    let options = NiConfig { max_tokens: Some(512), ..all() };
    let error = NiReader::check(&options).unwrap_err();
    assert_eq!(error.option(), Some("max_tokens"));
    assert!(error.hint().unwrap().starts_with("add a `tokenizer`"), "{error}");
}

#[test]
fn the_real_tasks_are_read_whole() {
    let Some(path) = shared("data/ni") else { return };
    for variant in [Variant::Fixed, Variant::Paper] {
        let config = NiConfig { variant, positive_examples: 2, ..all() };
        let examples = read(&path, &config);
        assert!(examples.iter().all(|e| e.target.is_some() && e.input.ends_with("Output: ")));
        let test = NiConfig { split: Some(SplitName::Test), ..config };
        let tasks = fs::read_to_string(path.join("splits/default/test_tasks.txt")).unwrap();
        assert_eq!(read(&path, &test).len(), 100 * tasks.lines().count());
    }
}
