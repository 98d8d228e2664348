//! An adapter's folder in PEFT's layout: `adapter_config.json`, `adapter_model.safetensors`.

use std::path::{Path, PathBuf};

use deft_core::{Context, Error, ErrorKind, Result, ResultExt};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{AdapterSpec, Kind};
use crate::hub;
use crate::model::write_tensors;
use crate::network::Tensors;
use crate::weights::{Safetensors, TensorFile as _};

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";
/// What PEFT puts before a module's name.
const PREFIX: &str = "base_model.model.";

/// An adapter as it was saved.
#[derive(Debug)]
pub(crate) struct SavedAdapter {
    pub(crate) spec: AdapterSpec,
    pub(crate) tensors: Tensors,
    /// The model that it was trained on, as the host takes it: a path, or `org/name@revision`.
    pub(crate) base: String,
}

/// `adapter_config.json` as PEFT writes it; what is not read does not matter here.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the file's own keys")]
struct File {
    peft_type: String,
    base_model_name_or_path: Option<String>,
    /// Of the base, where that is a name of the hub.
    revision: Option<String>,
    #[serde(default)]
    target_modules: Value,
    #[serde(default)]
    feedforward_modules: Value,
    #[serde(default)]
    fan_in_fan_out: bool,
    r: Option<usize>,
    lora_alpha: Option<f64>,
    lora_dropout: Option<f64>,
    bias: Option<String>,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    lora_bias: bool,
    #[serde(default)]
    rank_pattern: serde_json::Map<String, Value>,
    #[serde(default)]
    alpha_pattern: serde_json::Map<String, Value>,
    modules_to_save: Option<Vec<String>>,
}

impl SavedAdapter {
    /// Whether a folder holds an adapter.
    pub(crate) fn is_in(dir: &Path) -> bool {
        dir.join(CONFIG).exists()
    }

    /// Reads a folder.
    pub(crate) fn read(ctx: &Context<'_>, dir: &Path) -> Result<Self> {
        let path = dir.join(CONFIG);
        let text = std::fs::read_to_string(&path).or_io("cannot read the adapter", &path)?;
        let in_file = |error: Error| error.with_context("file", path.display());
        let file: File = serde_json::from_str(&text)
            .or_error(ErrorKind::Model, "this is no adapter_config.json of PEFT")
            .map_err(in_file)?;
        let spec = file.spec().map_err(in_file)?;
        let base = file.base_model_name_or_path.ok_or_else(|| {
            in_file(Error::new(ErrorKind::Model, "the adapter does not say what it was trained on"))
                .with_hint("set `base_model_name_or_path` in adapter_config.json")
        })?;
        let base = hub::join(base, file.revision.as_deref());
        Ok(Self { tensors: read_tensors(ctx, dir)?, spec, base })
    }

    /// Where the model lies that it was trained on.
    pub(crate) fn find_base(&self, ctx: &Context<'_>) -> Result<PathBuf> {
        ctx.resolve(&self.base).map_err(|error| {
            let is_of_hub = hub::is_repository(hub::split(&self.base).0);
            if is_of_hub || error.kind() != ErrorKind::Model {
                return error;
            }
            error.with_hint(format!(
                "the adapter was trained on `{}`: put the model there, or write in \
                 `base_model_name_or_path` of its {CONFIG} where it is",
                self.base
            ))
        })
    }

    /// Writes a folder; the bytes are a function of the arguments.
    pub(crate) fn write(&self, out: &Path) -> Result<()> {
        let named =
            |(name, tensor): (&String, &_)| (format!("{PREFIX}{name}"), Clone::clone(tensor));
        write_tensors(&self.tensors.iter().map(named).collect(), &out.join(TENSORS))?;
        let path = out.join(CONFIG);
        std::fs::write(&path, format!("{:#}\n", self.config())).or_io("cannot write", &path)
    }

    fn config(&self) -> Value {
        let (base, revision) = hub::split(&self.base);
        let mut config = json!({
            "base_model_name_or_path": base,
            "revision": revision,
            "task_type": "SEQ_2_SEQ_LM",
            "inference_mode": true,
            "fan_in_fan_out": false,
            "modules_to_save": null,
            "target_modules": self.spec.modules,
        });
        match self.spec.kind {
            Kind::Ia3 => {
                config["peft_type"] = json!("IA3");
                // All vectors of ours are on outputs, those on `wi_1` too.
                config["feedforward_modules"] = json!(self.spec.inputs);
                config["init_ia3_weights"] = json!(true);
            }
            Kind::Lora { rank, alpha, dropout } => {
                config["peft_type"] = json!("LORA");
                config["r"] = json!(rank);
                config["lora_alpha"] = json!(alpha);
                config["lora_dropout"] = json!(dropout);
                config["bias"] = json!("none");
                config["init_lora_weights"] = json!(true);
            }
        }
        config
    }
}

impl File {
    /// What the file says, if it can be read here.
    fn spec(&self) -> Result<AdapterSpec> {
        self.check()?;
        let (modules, mut inputs) = (names("target_modules", &self.target_modules)?, Vec::new());
        let kind = match self.peft_type.as_str() {
            "IA3" => {
                inputs = names("feedforward_modules", &self.feedforward_modules)?;
                Kind::Ia3
            }
            "LORA" => {
                let rank = self.r.filter(|rank| *rank > 0);
                let rank = rank.ok_or_else(|| unreadable("`r` must be at least 1"))?;
                let alpha = self.lora_alpha.unwrap_or(8.0);
                Kind::Lora { rank, alpha, dropout: self.lora_dropout.unwrap_or(0.0) }
            }
            other => {
                return Err(unreadable(format!(
                    "`peft_type` must be IA3 or LORA (found: {other})"
                )));
            }
        };
        Ok(AdapterSpec { kind, modules, inputs })
    }

    /// Refuses what would give another network than the file says.
    fn check(&self) -> Result<()> {
        let has_modules = self.modules_to_save.as_ref().is_some_and(|names| !names.is_empty());
        let has_bias = self.bias.as_deref().is_some_and(|bias| bias != "none");
        let refused = [
            (self.fan_in_fan_out, "`fan_in_fan_out`"),
            (self.use_rslora, "`use_rslora`"),
            (self.use_dora, "`use_dora`"),
            (self.lora_bias, "`lora_bias`"),
            (!self.rank_pattern.is_empty(), "`rank_pattern`"),
            (!self.alpha_pattern.is_empty(), "`alpha_pattern`"),
            (has_modules, "`modules_to_save`"),
            (has_bias, "a `bias` other than `none`"),
        ];
        match refused.iter().find(|(is_set, _)| *is_set) {
            None => Ok(()),
            Some((_, what)) => Err(unreadable(format!("{what} is not supported"))
                .with_hint("merge the adapter in PEFT (`merge_and_unload`) and use that model")),
        }
    }
}

fn unreadable(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Model, why)
}

/// A list of modules' names; PEFT takes a pattern in its place.
fn names(key: &str, value: &Value) -> Result<Vec<String>> {
    if value.is_null() {
        return Ok(Vec::new());
    }
    serde_json::from_value(value.clone()).map_err(|_| {
        let error = unreadable(format!("`{key}` must be a list of names (found: {value})"));
        if value.is_string() {
            error.with_hint("patterns are not read: write the names that it stands for as a list")
        } else {
            error
        }
    })
}

fn read_tensors(ctx: &Context<'_>, dir: &Path) -> Result<Tensors> {
    let path = dir.join(TENSORS);
    if !path.exists() {
        let hint = if dir.join("adapter_model.bin").exists() {
            "adapter_model.bin is not read: save the adapter again in PEFT with \
             `save_pretrained(…, safe_serialization=True)`"
        } else {
            "copy it there: an adapter is adapter_config.json and adapter_model.safetensors"
        };
        let message = format!("the adapter's folder has no {TENSORS}");
        return Err(Error::new(ErrorKind::Model, message)
            .with_context("folder", dir.display())
            .with_hint(hint));
    }
    let file = Safetensors::open(&path)?;
    let mut tensors = Tensors::new();
    for name in file.names() {
        ctx.check()?;
        let Some(own) = name.strip_prefix(PREFIX) else {
            let message = format!("the adapter's tensor `{name}` has another name than PEFT gives");
            return Err(Error::new(ErrorKind::Model, message).with_context("file", path.display()));
        };
        tensors.insert(own.to_owned(), file.get_f32(&name)?);
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::context;
    use candle_core::{Device, Tensor};

    fn saved(kind: Kind, name: &str) -> SavedAdapter {
        let tensor = Tensor::from_slice(&[1.5f32, 2.0], (2, 1), &Device::Cpu).expect("a tensor");
        SavedAdapter {
            spec: AdapterSpec { kind, modules: vec!["k".to_owned()], inputs: Vec::new() },
            tensors: Tensors::from([(name.to_owned(), tensor)]),
            base: "org/name@v1".to_owned(),
        }
    }

    #[test]
    fn an_adapter_is_read_as_it_was_written() {
        let lora = Kind::Lora { rank: 1, alpha: 2.0, dropout: 0.5 };
        for (kind, name) in [(Kind::Ia3, "a.k.ia3_l"), (lora, "a.k.lora_A.weight")] {
            let dir = tempfile::tempdir().expect("a folder");
            saved(kind, name).write(dir.path()).expect("written");
            assert!(SavedAdapter::is_in(dir.path()));
            let read = SavedAdapter::read(&context(1), dir.path()).expect("an adapter");
            assert_eq!((read.spec.kind, read.base.as_str()), (kind, "org/name@v1"));
            assert_eq!(read.tensors[name].to_vec2::<f32>().expect("values"), [[1.5], [2.0]]);
        }
    }

    /// The `adapter_config.json` of a folder.
    fn config(dir: &Path) -> Value {
        let text = std::fs::read_to_string(dir.join(CONFIG)).expect("readable");
        serde_json::from_str(&text).expect("JSON")
    }

    /// What an adapter's folder is read as with these keys.
    fn read_with(dir: &Path, change: &Value) -> Result<SavedAdapter> {
        saved(Kind::Ia3, "a.k.ia3_l").write(dir).expect("written");
        let mut config = config(dir);
        for (key, value) in change.as_object().expect("an object") {
            config[key] = value.clone();
        }
        std::fs::write(dir.join(CONFIG), config.to_string()).expect("written");
        SavedAdapter::read(&context(1), dir)
    }

    #[test]
    fn the_base_is_pinned_as_in_peft() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut adapter = saved(Kind::Ia3, "a.k.ia3_l");
        for (base, name, revision) in [
            ("org/name@c0ffee", "org/name", json!("c0ffee")),
            ("/data/me@home/model", "/data/me@home/model", json!(null)),
        ] {
            base.clone_into(&mut adapter.base);
            adapter.write(dir.path()).expect("written");
            let config = config(dir.path());
            assert_eq!(
                (&config["base_model_name_or_path"], &config["revision"]),
                (&json!(name), &revision)
            );
            let read = SavedAdapter::read(&context(1), dir.path()).expect("an adapter");
            assert_eq!(read.base, base);
        }
        // A revision says nothing of a folder.
        let local = json!({"base_model_name_or_path": "/data/model", "revision": "main"});
        assert_eq!(read_with(dir.path(), &local).expect("an adapter").base, "/data/model");
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        for (change, word) in [
            (json!({"peft_type": "PREFIX_TUNING"}), "PREFIX_TUNING"),
            (json!({"target_modules": ".*k"}), "`target_modules` must be a list"),
            (json!({"feedforward_modules": ".*wo"}), "`feedforward_modules` must be a list"),
            (json!({"feedforward_modules": 3}), "`feedforward_modules` must be a list"),
            (json!({"rank_pattern": {"q": 4}}), "rank_pattern"),
            (json!({"modules_to_save": ["lm_head"]}), "modules_to_save"),
            (json!({"bias": "all"}), "bias"),
        ] {
            let error = read_with(dir.path(), &change).expect_err("not supported");
            assert!(error.message().contains(word), "{error}");
            assert!(error.context("file").is_some(), "{error}");
        }
    }

    #[test]
    fn lists_of_modules_may_be_there_or_not() {
        let dir = tempfile::tempdir().expect("a folder");
        for (value, wanted) in [(json!(null), vec![]), (json!(["wo"]), vec!["wo"])] {
            let read = read_with(dir.path(), &json!({"feedforward_modules": value}));
            assert_eq!(read.expect("an adapter").spec.inputs, wanted);
        }
    }

    #[test]
    fn missing_tensors_come_with_advice() {
        let dir = tempfile::tempdir().expect("a folder");
        saved(Kind::Ia3, "a.k.ia3_l").write(dir.path()).expect("written");
        std::fs::remove_file(dir.path().join(TENSORS)).expect("removed");
        let hint = || {
            let error = SavedAdapter::read(&context(1), dir.path()).expect_err("missing");
            error.hint().map(str::to_owned).expect("a hint")
        };
        assert!(hint().contains("copy it there"), "{}", hint());
        std::fs::write(dir.path().join("adapter_model.bin"), "").expect("written");
        assert!(hint().contains("safe_serialization"), "{}", hint());
    }
}
