//! A folder of sentence-transformers: which network, and what makes one vector of its states.

mod pooling;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use deft_core::{Error, ErrorKind, Result, ResultExt};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::Pooling;

use pooling::pooling_of;

/// What a folder says, its files read and checked as far as they are JSON.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Where the network and its tokenizer lie.
    pub(crate) network: PathBuf,
    /// Whether there is no `modules.json`: then nothing is said of pooling.
    pub(crate) is_plain: bool,
    /// The vectors that are joined, at least one.
    pub(crate) pooling: Vec<Pooling>,
    /// What happens to them, in this order.
    pub(crate) steps: Vec<Step>,
    /// The width of states that the pooling was made for.
    pub(crate) width: Option<usize>,
    pub(crate) max_tokens: Option<usize>,
    pub(crate) lower_case: bool,
    /// What stands before every text; empty for nothing.
    pub(crate) prompt: String,
    /// The names of prompts that are for some texts alone.
    pub(crate) prompts: Vec<String>,
    /// Whether the prompt's states count in pooling.
    pub(crate) includes_prompt: bool,
}

/// A module after the pooling.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Dense(DenseConfig),
    Normalize,
}

/// A linear layer, and where its weights lie.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DenseConfig {
    pub(crate) dir: PathBuf,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) bias: bool,
    /// Whether the hyperbolic tangent follows.
    pub(crate) tanh: bool,
}

#[derive(Debug, Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    class: String,
}

#[derive(Debug, Default, Deserialize)]
struct Settings {
    max_seq_length: Option<usize>,
    do_lower_case: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct TokenizerSettings {
    /// Often 1e30, for “without limit”.
    model_max_length: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
struct Prompts {
    #[serde(default)]
    prompts: BTreeMap<String, Option<String>>,
    default_prompt_name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct DenseFile {
    in_features: usize,
    out_features: usize,
    bias: Option<bool>,
    activation_function: Option<String>,
    #[serde(default)]
    use_residual: bool,
    module_input_name: Option<String>,
}

impl Folder {
    /// Reads a folder of sentence-transformers, or one of a model alone.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let list = dir.join("modules.json");
        let Some(modules) = read_json::<Vec<Module>>(&list)? else {
            return Self::of_network(dir.to_owned());
        };
        let in_list = |error: Error| error.with_context("file", list.display());
        let mut modules = modules.iter();
        let mut next = |name: &str| match modules.next() {
            Some(module) if module.name() == name => module.dir(dir).map_err(in_list),
            other => {
                let found = other.map_or("none", |module| module.class.as_str());
                let message =
                    format!("the first modules must be Transformer and Pooling (found: {found})");
                Err(in_list(wrong(message)))
            }
        };
        let network = next("Transformer")?;
        let pooling = pooling_of(&next("Pooling")?.join("config.json"))?;
        let steps =
            modules.map(|module| module.step(dir).map_err(in_list)).collect::<Result<_>>()?;
        let prompts: Prompts =
            read_json(&dir.join("config_sentence_transformers.json"))?.unwrap_or_default();
        Ok(Self {
            is_plain: false,
            pooling: pooling.modes,
            width: pooling.width,
            includes_prompt: pooling.includes_prompt,
            steps,
            prompt: prompts.default(),
            prompts: prompts.named(),
            ..Self::of_network(network)?
        })
    }

    /// What sentence-transformers makes of a network without more: the mean, and nothing else.
    fn of_network(network: PathBuf) -> Result<Self> {
        let settings: Settings =
            read_json(&network.join("sentence_bert_config.json"))?.unwrap_or_default();
        let tokenizer: Option<TokenizerSettings> =
            read_json(&network.join("tokenizer_config.json"))?;
        let of_tokenizer = tokenizer.and_then(|settings| settings.model_max_length);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        let of_tokenizer = of_tokenizer.filter(|n| (1.0..1e9).contains(n)).map(|n| n as usize);
        Ok(Self {
            network,
            is_plain: true,
            pooling: vec![Pooling::Mean],
            steps: Vec::new(),
            width: None,
            max_tokens: settings.max_seq_length.or(of_tokenizer),
            lower_case: settings.do_lower_case.unwrap_or(false),
            prompt: String::new(),
            prompts: Vec::new(),
            includes_prompt: true,
        })
    }
}

impl Module {
    /// `Pooling`, of `sentence_transformers.models.Pooling`.
    fn name(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or_default()
    }

    fn dir(&self, dir: &Path) -> Result<PathBuf> {
        let path = Path::new(&self.path);
        if path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Ok(dir.join(path));
        }
        Err(wrong(format!("a module must lie in the folder (found: `{}`)", self.path)))
    }

    fn step(&self, dir: &Path) -> Result<Step> {
        match self.name() {
            "Normalize" => Ok(Step::Normalize),
            "Dense" => Ok(Step::Dense(dense_of(&self.dir(dir)?)?)),
            _ => {
                let message = format!(
                    "after Transformer and Pooling only Dense and Normalize are supported (found: {})",
                    self.class
                );
                Err(wrong(message))
            }
        }
    }
}

impl Prompts {
    fn default(&self) -> String {
        let name = self.default_prompt_name.as_ref();
        name.and_then(|name| self.prompts.get(name).cloned().flatten()).unwrap_or_default()
    }

    fn named(&self) -> Vec<String> {
        let is_text = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let texts = self.prompts.iter().filter(|(_, text)| is_text(text));
        texts.map(|(name, _)| name.clone()).collect()
    }
}

fn dense_of(dir: &Path) -> Result<DenseConfig> {
    let path = dir.join("config.json");
    let in_file = |error: Error| error.with_context("path", path.display());
    let file: DenseFile = read_json(&path)?
        .ok_or_else(|| in_file(wrong("the file of a Dense module is missing".to_owned())))?;
    if file.in_features == 0 || file.out_features == 0 {
        return Err(in_file(wrong("a Dense module must have inputs and outputs".to_owned())));
    }
    let input = file.module_input_name.as_deref().unwrap_or("sentence_embedding");
    if file.use_residual || input != "sentence_embedding" {
        let message = "a Dense module with a residual, or on other than the text's vector, is not \
                       supported";
        return Err(in_file(wrong(message.to_owned())));
    }
    let activation = file.activation_function.as_deref().unwrap_or("Tanh");
    let tanh = match activation.rsplit('.').next() {
        Some("Tanh") => true,
        Some("Identity") => false,
        _ => {
            let message = format!(
                "the activation `{activation}` of a Dense module is not supported (allowed: \
                 Identity, Tanh)"
            );
            return Err(in_file(wrong(message)));
        }
    };
    Ok(DenseConfig {
        dir: dir.to_owned(),
        inputs: file.in_features,
        outputs: file.out_features,
        bias: file.bias.unwrap_or(true),
        tanh,
    })
}

/// A JSON file; `None` where there is none.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).or_io("cannot read the model's folder", path)?;
    serde_json::from_str(&text)
        .or_error(ErrorKind::Model, "a file of the model's folder is damaged")
        .map(Some)
        .map_err(|e| e.with_context("file", path.display()))
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Model, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_plain_folder_is_pooled_by_the_mean() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::read(dir.path()).expect("a folder");
        assert!(folder.is_plain && folder.steps.is_empty());
        assert_eq!((folder.pooling, folder.max_tokens), (vec![Pooling::Mean], None));
    }

    #[test]
    fn modules_settings_and_prompts_are_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, value: Value| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, value.to_string()).expect("written");
        };
        let module = |path: &str, name: &str| json!({"idx": 0, "name": "0", "path": path, "type": format!("sentence_transformers.models.{name}")});
        let modules = [
            ("0_Transformer", "Transformer"),
            ("1_Pooling", "Pooling"),
            ("2_Dense", "Dense"),
            ("3_Normalize", "Normalize"),
        ];
        write("modules.json", json!(modules.map(|(path, name)| module(path, name))));
        write(
            "0_Transformer/sentence_bert_config.json",
            json!({"max_seq_length": 7, "do_lower_case": true}),
        );
        write("1_Pooling/config.json", json!({"pooling_mode_max_tokens": true}));
        write(
            "2_Dense/config.json",
            json!({
                "in_features": 4, "out_features": 2, "bias": false,
                "activation_function": "torch.nn.modules.linear.Identity",
            }),
        );
        write(
            "config_sentence_transformers.json",
            json!({
                "prompts": {"query": "ask: ", "document": ""}, "default_prompt_name": "query",
            }),
        );
        let folder = Folder::read(dir.path()).expect("a folder");
        assert_eq!(folder.network, dir.path().join("0_Transformer"));
        assert_eq!((folder.max_tokens, folder.lower_case), (Some(7), true));
        assert_eq!((folder.prompt.as_str(), folder.prompts), ("ask: ", vec!["query".to_owned()]));
        let dense = DenseConfig {
            dir: dir.path().join("2_Dense"),
            inputs: 4,
            outputs: 2,
            bias: false,
            tanh: false,
        };
        assert_eq!(folder.steps, [Step::Dense(dense), Step::Normalize]);
        for (modules, word) in [
            (json!([module("", "CLIPModel")]), "CLIPModel"),
            (json!([module("", "Transformer")]), "Pooling"),
            (json!([module("../x", "Transformer"), module("1_Pooling", "Pooling")]), "`../x`"),
            (
                json!([
                    module("", "Transformer"),
                    module("1_Pooling", "Pooling"),
                    module("", "LSTM")
                ]),
                "LSTM",
            ),
            (json!({}), "damaged"),
        ] {
            write("modules.json", modules);
            let error = Folder::read(dir.path()).expect_err("refused");
            assert!(error.message().contains(word), "{error}");
        }
    }
}
