use super::*;
use deft_core::NoServices;
use std::fs;

fn expand(source: &str, base: &Path) -> Result<SourcePaths> {
    expand_source(source, base, &Context::new(&NoServices, 0, 1))
}

/// A folder whose path is longer than the system takes: made in two pieces, and put together.
fn too_deep(root: &Path) {
    let name = "d".repeat(200);
    let piece = |top: &str| {
        let mut dir = root.join(top);
        fs::create_dir(&dir).unwrap();
        for _ in 0..12 {
            dir.push(&name);
            fs::create_dir(&dir).unwrap();
        }
        dir
    };
    let end = piece("a");
    piece("b");
    fs::rename(root.join("b"), end.join("b")).unwrap();
}

#[test]
fn a_folder_that_a_glob_cannot_search_is_an_error_and_no_smaller_pool() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x.jsonl"), "").unwrap();
    assert_eq!(expand("**/*.jsonl", dir.path()).unwrap().len(), 1);
    too_deep(dir.path());
    let error = expand("**/*.jsonl", dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.context("path").unwrap().contains("/ddd"), "{error}");
    assert_eq!(expand("*.jsonl", dir.path()).unwrap().len(), 1, "nothing is searched");
}

#[test]
fn a_source_is_there_if_it_or_a_match_of_it_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.jsonl"), "").unwrap();
    for (source, there) in [
        ("a.jsonl", true),
        ("*.jsonl", true),
        (".", true),
        ("b.jsonl", false),
        ("*.txt", false),
        ("[", false),
        ("", false),
    ] {
        assert_eq!(is_there(source, dir.path()), there, "{source}");
    }
}

#[test]
fn a_glob_that_matches_otherwise_after_reading_names_what_came_or_went() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    fs::write(file("b.jsonl"), "").unwrap();
    let paths = expand("*.jsonl", dir.path()).unwrap();
    fs::write(file("b.txt"), "").unwrap();
    paths.check_unchanged().unwrap();
    fs::write(file("a.jsonl"), "").unwrap();
    let error = paths.check_unchanged().unwrap_err();
    assert!(error.context("new").unwrap().ends_with("a.jsonl"), "{error}");
    fs::remove_file(file("a.jsonl")).unwrap();
    fs::remove_file(file("b.jsonl")).unwrap();
    let error = paths.check_unchanged().unwrap_err();
    assert!(error.context("gone").unwrap().ends_with("b.jsonl"), "{error}");
}

#[test]
fn names_do_not_depend_on_where_a_folder_lies() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["p3/a_b/train/0000.parquet", "p3/c_d/train/0000.parquet"] {
        fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
        fs::write(dir.path().join(name), "").unwrap();
    }
    let names = |source: &str| expand(source, dir.path()).unwrap().names().to_vec();
    assert_eq!(names("./p3/*/train/*"), ["a_b/train/0000.parquet", "c_d/train/0000.parquet"]);
    assert_eq!(names("p3/a_b/train/*.parquet"), ["0000.parquet"]);
    assert_eq!(names("p3/a_b"), ["a_b"]);
    assert_eq!(name_below(&start_of("./p3/*"), Path::new("p3/a")), "a");
}

#[test]
fn of_two_globs_together_each_is_looked_at_again() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.txt", "b.jsonl"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let mut paths = expand("*.txt", dir.path()).unwrap();
    paths.append(expand("*.jsonl", dir.path()).unwrap());
    assert_eq!(paths.names(), ["a.txt", "b.jsonl"]);
    paths.check_unchanged().unwrap();
    fs::write(dir.path().join("c.jsonl"), "").unwrap();
    let error = paths.check_unchanged().unwrap_err();
    assert!(error.context("new").unwrap().ends_with("c.jsonl"), "{error}");
}

#[test]
fn a_name_of_the_hub_is_never_a_path() {
    let dir = tempfile::tempdir().unwrap();
    for source in ["hf:/datasets/a/b/c", "hf://a/b"] {
        let error = expand(source, dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Options);
        assert!(error.hint().unwrap().contains("hf://datasets/ORG/NAME/PATH"), "{error}");
        assert!(is_there(source, dir.path()), "to open it tells what is wrong");
    }
}
