//! Equality with Lucene, by the golden files in `parity/bm25` of the shared folder.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::analyzer::Analyzer;
use crate::config::Bm25Config;
use crate::testing::Host;

/// The folders of golden files, or none where the shared folder is absent.
fn folders() -> Vec<PathBuf> {
    let shared = std::env::var_os("DEFT_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let Ok(entries) = std::fs::read_dir(shared.join("parity/bm25")) else {
        println!("skipped: no golden files in {}", shared.display());
        return Vec::new();
    };
    let mut folders: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join("docs.jsonl.gz").is_file())
        .collect();
    folders.sort();
    folders
}

/// The lines of a gzipped file of JSON objects.
fn json_lines(file: &Path) -> Vec<Value> {
    let file = std::fs::File::open(file).expect("a golden file");
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Identifiers and texts of a folder's documents.
fn documents(folder: &Path) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    json_lines(&folder.join("docs.jsonl.gz"))
        .iter()
        .map(|line| (text(&line["id"]), text(&line["contents"])))
        .collect()
}

fn terms(text: &str) -> Vec<String> {
    let mut terms = Vec::new();
    Analyzer::new().for_each_term(text, |term| terms.push(term.to_owned()));
    terms
}

#[test]
fn terms_are_those_of_lucene() {
    for folder in folders() {
        let texts: HashMap<_, _> = documents(&folder).into_iter().collect();
        for line in json_lines(&folder.join("analyzed_tokens.jsonl.gz")) {
            let id = line["id"].as_str().expect("a string");
            let wanted: Vec<_> =
                line["tokens"].as_array().expect("a list").iter().map(Value::as_str).collect();
            let found = terms(&texts[id]);
            let found: Vec<_> = found.iter().map(|term| Some(term.as_str())).collect();
            assert_eq!(found, wanted, "{} {id}", folder.display());
        }
    }
}

#[test]
fn counts_of_terms_over_all_texts_are_those_of_lucene() {
    for folder in folders() {
        let stats = std::fs::read_to_string(folder.join("index_stats.txt")).expect("statistics");
        let stat = |name: &str| -> usize {
            let value = stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.expect(name).trim().parse().expect("a number")
        };
        let all: Vec<_> = documents(&folder).iter().map(|(_, text)| terms(text)).collect();
        assert_eq!(all.iter().map(Vec::len).sum::<usize>(), stat("total terms"));
        assert_eq!(all.iter().filter(|terms| !terms.is_empty()).count(), stat("documents"));
        let mut unique: Vec<_> = all.concat();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), stat("unique terms"));
    }
}

#[test]
fn every_hit_of_lucene_is_found_with_the_same_bits_in_the_same_order() {
    for folder in folders() {
        let documents = documents(&folder);
        let texts: Vec<_> = documents.iter().map(|(_, text)| text.as_str()).collect();
        let queries = std::fs::read_to_string(folder.join("queries.tsv")).expect("queries");
        let queries: Vec<_> =
            queries.lines().map(|line| line.split_once('\t').expect("a tab")).collect();
        let run = std::fs::read_to_string(folder.join("lucene_k0.9_b0.4.run")).expect("a run");
        let mut wanted = HashMap::<&str, Vec<(&str, u32)>>::new();
        for line in run.lines() {
            let [query, _, document, _, score, ..] = *line.split(' ').collect::<Vec<_>>() else {
                panic!("not a line of a run: {line}");
            };
            let score: f32 = score.parse().expect("a score");
            wanted.entry(query).or_default().push((document, score.to_bits()));
        }
        let host = Host::prepared(Bm25Config::default(), &texts, 1999);
        let query_texts: Vec<_> = queries.iter().map(|(_, text)| *text).collect();
        // All that match, since Lucene breaks ties by the identifier as a string.
        let found = host.retrieve(&query_texts, texts.len(), 2);
        for ((query, _), mut found) in queries.iter().zip(found) {
            let name = |row: u64| documents[usize::try_from(row).expect("a row")].0.as_str();
            found.sort_by(|a, b| b.score.total_cmp(&a.score).then(name(a.id).cmp(name(b.id))));
            let wanted = wanted.get(query).map_or(&[][..], Vec::as_slice);
            let found: Vec<_> = found
                .iter()
                .take(wanted.len())
                .map(|hit| (name(hit.id), hit.score.to_bits()))
                .collect();
            assert_eq!(found, wanted, "{} {query}", folder.display());
        }
    }
}
