//! `deft fetch`: the models and data sets that a manifest names, into Hugging Face's cache.

use std::path::{Path, PathBuf};

use clap::Args;
use deft_core::{Context, Result, Services as _};
use indexmap::IndexMap;
use serde_json::Value;

use super::print;
use crate::hub::HubName;
use crate::manifest::{Manifest, NamedSource};
use crate::pool::{each_named, expand_source, is_of_hub};
use crate::services::HostServices;

/// Arguments of `deft fetch`.
#[derive(Debug, Args)]
pub struct FetchArgs {
    /// The manifest
    manifest: PathBuf,
    /// Set a value of the manifest, as for the run
    #[arg(long = "set", value_name = "PATH=VALUE")]
    overrides: Vec<String>,
}

/// Options of components that name a model, by agreement: no plugin is loaded to tell.
const OPTIONS: [&str; 2] = ["model", "tokenizer"];

pub(super) fn fetch(args: &FetchArgs) -> Result<()> {
    let (manifest, document) = Manifest::load(&args.manifest, &args.overrides)?;
    let services = HostServices::new(document.dir(), "fetch", 1);
    let mut models = IndexMap::new();
    collect(document.value(), "", &mut models);
    models.retain(|name, _| {
        HubName::parse(name).is_some() && !document.dir().join(name.as_str()).exists()
    });
    let mut found = models.len();
    for (name, option) in models {
        let folder = services.resolve(&name).map_err(|error| document.locate_at(error, &option))?;
        print(&format!("{name}\t{}\n", folder.display()))?;
    }
    for (source, option) in manifest.named_sources() {
        found += fetch_data(source, document.dir(), &services.context(0))
            .map_err(|error| document.locate_at(error, &option))?;
    }
    if found == 0 {
        log::info!("the manifest names nothing that is to be downloaded");
    }
    Ok(())
}

/// Downloads what is of the hub and prints where it is; how many sources that were.
fn fetch_data(named: NamedSource<'_>, base: &Path, ctx: &Context<'_>) -> Result<usize> {
    let mut count = 0;
    each_named(named, base, |source, base| {
        if !is_of_hub(source) {
            return Ok(());
        }
        count += 1;
        let paths = expand_source(source, base, ctx)?;
        paths.iter().try_for_each(|path| print(&format!("{source}\t{}\n", path.display())))
    })?;
    Ok(count)
}

/// Adds every name of a model below a value, with the first option that has it.
fn collect(value: &Value, path: &str, models: &mut IndexMap<String, String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match value {
                    Value::String(name) if OPTIONS.contains(&key.as_str()) => {
                        models.entry(name.clone()).or_insert(path);
                    }
                    _ => collect(value, &path, models),
                }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                collect(item, &format!("{path}[{i}]"), models);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn models_are_found_in_every_block_with_the_place_of_the_first() {
        let manifest = json!({
            "name": "a/name",
            "retriever": { "use": "dense", "encoder": { "use": "t5", "model": "org/small" } },
            "trainer": { "use": "t5", "model": "org/large@v1", "tokenizer": "org/small" },
            "arms": { "model": {}, "b": { "trainer": { "use": "t5", "model": "org/other" } } },
            "pool": [{ "reader": { "use": "p3", "tokenizer": "org/words" } }],
        });
        let mut models = IndexMap::new();
        collect(&manifest, "", &mut models);
        let found: Vec<(&str, &str)> =
            models.iter().map(|(name, path)| (name.as_str(), path.as_str())).collect();
        assert_eq!(
            found,
            [
                ("org/small", "retriever.encoder.model"),
                ("org/large@v1", "trainer.model"),
                ("org/other", "arms.b.trainer.model"),
                ("org/words", "pool[0].reader.tokenizer"),
            ]
        );
    }
}
