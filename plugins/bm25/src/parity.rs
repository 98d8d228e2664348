//! Equality with Lucene, by the golden files in `parity/bm25` of the shared folder.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use deft_core::Hit;
use serde_json::Value;

use crate::analyzer::Analyzer;
use crate::config::Bm25Config;
use crate::testing::Host;

/// The folder of shared files, which may be absent.
fn shared() -> PathBuf {
    std::env::var_os("DEFT_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    )
}

/// The folders of golden files, or none where the shared folder is absent.
fn folders() -> Vec<PathBuf> {
    let shared = shared();
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

/// Numbers and texts of a folder's queries.
fn queries(folder: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(folder.join("queries.tsv")).expect("queries");
    let query = |line: &str| line.split_once('\t').map(|(a, b)| (a.to_owned(), b.to_owned()));
    text.split_terminator('\n').map(|line| query(line).expect("a tab")).collect()
}

/// Documents with their scores, best first.
type Ranking = Vec<(String, f32)>;

/// What Lucene found for each query.
fn lucene(folder: &Path) -> HashMap<String, Ranking> {
    let run = std::fs::read_to_string(folder.join("lucene_k0.9_b0.4.run")).expect("a run");
    let mut rankings = HashMap::<String, Ranking>::new();
    for line in run.lines() {
        let [query, _, document, _, score, ..] = *line.split(' ').collect::<Vec<_>>() else {
            panic!("not a line of a run: {line}");
        };
        let score: f32 = score.parse().expect("a score");
        rankings.entry(query.to_owned()).or_default().push((document.to_owned(), score));
    }
    rankings
}

/// What is found here for each query, in Lucene's order: ties go to the smaller identifier as text.
fn found(folder: &Path) -> Vec<(String, Ranking)> {
    let (documents, queries) = (documents(folder), queries(folder));
    let texts: Vec<_> = documents.iter().map(|(_, text)| text.as_str()).collect();
    let host = Host::prepared(Bm25Config::default(), &texts, 1999);
    let query_texts: Vec<_> = queries.iter().map(|(_, text)| text.as_str()).collect();
    // All that match, since ties at a cut would be those of another order.
    let hits = host.retrieve(&query_texts, texts.len(), 2);
    let name = |id: u64| documents[usize::try_from(id).expect("a row")].0.clone();
    let ranking = |hits: Vec<Hit>| {
        let mut ranking: Ranking = hits.iter().map(|hit| (name(hit.id), hit.score)).collect();
        ranking.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        ranking
    };
    queries.into_iter().map(|(query, _)| query).zip(hits.into_iter().map(ranking)).collect()
}

#[test]
fn every_hit_of_lucene_is_found_with_the_same_bits_in_the_same_order() {
    for folder in folders() {
        let wanted = lucene(&folder);
        for (query, found) in found(&folder) {
            let bits = |ranking: &[(String, f32)]| -> Vec<(String, u32)> {
                ranking.iter().map(|(name, score)| (name.clone(), score.to_bits())).collect()
            };
            let wanted = bits(wanted.get(&query).map_or(&[], Vec::as_slice));
            let found = bits(&found[..wanted.len().min(found.len())]);
            assert_eq!(found, wanted, "{} {query}", folder.display());
        }
    }
}

/// What a document is worth to a query, by the judgements of Cranfield.
///
/// The file's grades are 4 (best) to 1, which are taken as they are. A grade of 5 stands for the code
/// −1 of the original, which was given to very close documents: it counts as the best.
fn gains(qrels: &str) -> HashMap<&str, HashMap<&str, f64>> {
    let mut gains = HashMap::<&str, HashMap<&str, f64>>::new();
    for line in qrels.lines() {
        let [query, _, document, grade] = *line.split_whitespace().collect::<Vec<_>>() else {
            panic!("not a judgement: {line}");
        };
        let grade: f64 = grade.parse().expect("a grade");
        gains.entry(query).or_default().insert(document, grade.min(4.0));
    }
    gains
}

/// How much of the gain of the best ten is found in the first ten, each discounted by its rank.
fn ndcg_at_10(ranking: &[(String, f32)], gains: &HashMap<&str, f64>) -> f64 {
    let discounted = |gains: &mut dyn Iterator<Item = f64>| -> f64 {
        gains.take(10).zip(2_u32..).map(|(gain, rank)| gain / f64::from(rank).log2()).sum()
    };
    let mut best: Vec<f64> = gains.values().copied().collect();
    best.sort_by(|a, b| b.total_cmp(a));
    let gain = |(name, _): &(String, f32)| gains.get(name.as_str()).copied().unwrap_or(0.0);
    discounted(&mut ranking.iter().map(gain)) / discounted(&mut best.into_iter())
}

#[test]
fn judged_by_cranfield_the_ranking_is_as_good_as_that_of_lucene() {
    let qrels = shared().join("data/retrieval/cranfield/qrels.txt");
    let folder = shared().join("parity/bm25/cranfield");
    let (Ok(qrels), true) = (std::fs::read_to_string(&qrels), folder.is_dir()) else {
        println!("skipped: no judgements in {}", qrels.display());
        return;
    };
    let (gains, lucene) = (gains(&qrels), lucene(&folder));
    let (mut ours, mut theirs, mut queries) = (0.0, 0.0, 0.0);
    for (query, found) in found(&folder) {
        let Some(gains) = gains.get(query.as_str()) else { continue };
        ours += ndcg_at_10(&found, gains);
        theirs += ndcg_at_10(&lucene[&query], gains);
        queries += 1.0;
    }
    let (ours, theirs) = (ours / queries, theirs / queries);
    println!("nDCG@10 over {queries} queries: {ours:.4}, Lucene {theirs:.4}");
    assert!(theirs > 0.3, "the judgements are not those of these documents: {theirs}");
    assert_eq!(format!("{ours:.3}"), format!("{theirs:.3}"));
}

#[test]
fn ndcg_is_one_for_the_best_order_and_less_for_others() {
    let gains = HashMap::from([("a", 4.0), ("b", 1.0)]);
    let ranking = |names: [&str; 3]| names.map(|name| (name.to_owned(), 0.0));
    assert!((ndcg_at_10(&ranking(["a", "b", "c"]), &gains) - 1.0).abs() < 1e-12);
    // (4/log2(3) + 1/log2(4)) / (4/log2(2) + 1/log2(3))
    let swapped = (4.0 / 3_f64.log2() + 0.5) / (4.0 + 1.0 / 3_f64.log2());
    assert!((ndcg_at_10(&ranking(["c", "a", "b"]), &gains) - swapped).abs() < 1e-12);
}
