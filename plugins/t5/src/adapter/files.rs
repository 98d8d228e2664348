//! An adapter's folder in PEFT's layout: `adapter_config.json`, `adapter_model.safetensors`.

use std::path::Path;

use deft_core::{Error, ErrorKind, Result, ResultExt};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{AdapterSpec, Kind};
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
    /// The model that it was trained on, as a path or `org/name`.
    pub(crate) base: String,
}

/// `adapter_config.json` as PEFT writes it; what is not read does not matter here.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the file's own keys")]
struct File {
    peft_type: String,
    base_model_name_or_path: Option<String>,
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
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(CONFIG);
        let text = std::fs::read_to_string(&path).or_io("cannot read the adapter", &path)?;
        let in_file = |error: Error| error.with_context("file", path.display());
        let file: File = serde_json::from_str(&text)
            .or_error(ErrorKind::Model, "this is no adapter_config.json of PEFT")
            .map_err(in_file)?;
        let spec = file.spec().map_err(|why| in_file(Error::new(ErrorKind::Model, why)))?;
        let base = file.base_model_name_or_path.ok_or_else(|| {
            in_file(Error::new(ErrorKind::Model, "the adapter does not say what it was trained on"))
                .with_hint("set `base_model_name_or_path` in adapter_config.json")
        })?;
        Ok(Self { tensors: read_tensors(&dir.join(TENSORS))?, spec, base })
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
        let mut config = json!({
            "base_model_name_or_path": self.base,
            "task_type": "SEQ_2_SEQ_LM",
            "inference_mode": true,
            "fan_in_fan_out": false,
            "modules_to_save": null,
            "target_modules": self.spec.modules,
        });
        match self.spec.kind {
            Kind::Ia3 => {
                config["peft_type"] = json!("IA3");
                // All vectors are on outputs, `wi_1` among them.
                config["feedforward_modules"] = json!([]);
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
    /// What the file says, or why it cannot be read here.
    fn spec(&self) -> Result<AdapterSpec, String> {
        let modules: Vec<String> = serde_json::from_value(self.target_modules.clone())
            .map_err(|_| "`target_modules` must be a list of names".to_owned())?;
        if self.fan_in_fan_out || self.use_rslora || self.use_dora {
            return Err(
                "`fan_in_fan_out`, `use_rslora` and `use_dora` are not supported".to_owned()
            );
        }
        if self.lora_bias || !self.rank_pattern.is_empty() || !self.alpha_pattern.is_empty() {
            return Err(
                "`lora_bias`, `rank_pattern` and `alpha_pattern` are not supported".to_owned()
            );
        }
        if self.modules_to_save.as_ref().is_some_and(|names| !names.is_empty()) {
            return Err("`modules_to_save` is not supported".to_owned());
        }
        let kind = match self.peft_type.as_str() {
            "IA3" => {
                let inputs: Vec<String> =
                    serde_json::from_value(self.feedforward_modules.clone()).unwrap_or_default();
                if !inputs.is_empty() {
                    return Err(format!(
                        "`feedforward_modules` must be empty (found: {inputs:?}): vectors on \
                         inputs are not supported"
                    ));
                }
                Kind::Ia3
            }
            "LORA" => {
                if self.bias.as_deref().is_some_and(|bias| bias != "none") {
                    return Err("`bias` must be `none`".to_owned());
                }
                let rank = self.r.filter(|rank| *rank > 0).ok_or("`r` must be at least 1")?;
                let (alpha, dropout) = (self.lora_alpha.unwrap_or(8.0), self.lora_dropout);
                Kind::Lora { rank, alpha, dropout: dropout.unwrap_or(0.0) }
            }
            other => return Err(format!("`peft_type` must be IA3 or LORA (found: {other})")),
        };
        Ok(AdapterSpec { kind, modules })
    }
}

fn read_tensors(path: &Path) -> Result<Tensors> {
    let file = Safetensors::open(path)?;
    let mut tensors = Tensors::new();
    for name in file.names() {
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
    use candle_core::{Device, Tensor};

    fn saved(kind: Kind, name: &str) -> SavedAdapter {
        let tensor = Tensor::from_slice(&[1.5f32, 2.0], (2, 1), &Device::Cpu).expect("a tensor");
        SavedAdapter {
            spec: AdapterSpec { kind, modules: vec!["k".to_owned()] },
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
            let read = SavedAdapter::read(dir.path()).expect("an adapter");
            assert_eq!((read.spec.kind, read.base.as_str()), (kind, "org/name@v1"));
            assert_eq!(read.tensors[name].to_vec2::<f32>().expect("values"), [[1.5], [2.0]]);
        }
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        for (change, word) in [
            (json!({"peft_type": "PREFIX_TUNING"}), "PREFIX_TUNING"),
            (json!({"feedforward_modules": ["wo"]}), "feedforward_modules"),
            (json!({"rank_pattern": {"q": 4}}), "rank_pattern"),
            (json!({"modules_to_save": ["lm_head"]}), "modules_to_save"),
        ] {
            saved(Kind::Ia3, "a.k.ia3_l").write(dir.path()).expect("written");
            let path = dir.path().join(CONFIG);
            let text = std::fs::read_to_string(&path).expect("readable");
            let mut config: Value = serde_json::from_str(&text).expect("JSON");
            for (key, value) in change.as_object().expect("an object") {
                config[key] = value.clone();
            }
            std::fs::write(&path, config.to_string()).expect("written");
            let error = SavedAdapter::read(dir.path()).expect_err("not supported");
            assert!(error.message().contains(word), "{error}");
        }
    }
}
