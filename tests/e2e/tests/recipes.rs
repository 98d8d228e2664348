//! The recipes of the documentation are what they say: `deft check` accepts each block.

use std::path::Path;

use deft_e2e::Project;

/// What a recipe leaves out.
const REST: &str = "
version: 1
name: recipe
plugins: [p3, t5, bm25]
pool: [{ reader: p3, source: pool.jsonl }]
retriever: bm25
selection: { queries: 3, neighbors: 3 }
tasks:
  - name: task
    reader: p3
    query_source: queries.jsonl
    training_source: evaluation.jsonl
    validation_source: evaluation.jsonl
";

/// The blocks of YAML in a page.
fn blocks(page: &str) -> Vec<&str> {
    let after = page.split("```yaml\n").skip(1);
    after.map(|text| text.split_once("```").map_or(text, |(block, _)| block)).collect()
}

#[test]
fn every_recipe_is_a_manifest_that_passes_the_check() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/recipes.md");
    let page = std::fs::read_to_string(path).unwrap();
    let blocks = blocks(&page);
    assert!(blocks.len() >= 9, "{} recipes", blocks.len());
    for block in blocks {
        let project = Project::new();
        project.write("manifest.yaml", &format!("{REST}{block}"));
        project.deft("check").succeed();
    }
}
