//! Models as folders in Hugging Face's layout.

use std::path::Path;

use candle_core::Tensor;
use deft_core::{ErrorKind, Result, ResultExt};
use serde_json::{Map, Value, json};

use crate::network::Tensors;
use crate::weights::{self, Outgoing};

use super::Model;

impl Model {
    /// Writes the tokenizer, which may have come from elsewhere than the model.
    pub(crate) fn write_tokenizer(&self, out: &Path) -> Result<()> {
        let path = out.join("tokenizer.json");
        std::fs::write(&path, self.tokens.bytes()).or_io("cannot write the tokenizer", &path)
    }

    /// Writes a folder in Hugging Face's layout, with these weights in place of the model's.
    ///
    /// The bytes are a function of the arguments: tensors are sorted, the metadata has one key.
    pub(crate) fn write(&self, tensors: &Tensors, max_tokens: usize, out: &Path) -> Result<()> {
        write_tensors(tensors, &out.join("model.safetensors"))?;
        let settings = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": max_tokens,
            "pad_token": "<pad>",
            "eos_token": "</s>",
        });
        self.write_tokenizer(out)?;
        for (name, content) in
            [("config.json", self.written_config()?), ("tokenizer_config.json", settings)]
        {
            let path = out.join(name);
            std::fs::write(&path, format!("{content:#}\n"))
                .or_io("cannot write the model", &path)?;
        }
        Ok(())
    }

    /// `config.json` as it was, but true of these weights, which are f32 whatever the model's were,
    /// and with the ids that were used: other programs have defaults of their own.
    fn written_config(&self) -> Result<Value> {
        let mut file: Map<String, Value> = serde_json::from_str(&self.config_json)
            .or_error(ErrorKind::Model, "`config.json` is no JSON object")?;
        file.insert("torch_dtype".to_owned(), json!("float32"));
        // What transformers calls it since 4.56.
        if let Some(dtype) = file.get_mut("dtype") {
            *dtype = json!("float32");
        }
        let config = &self.config;
        for (key, id) in [
            ("pad_token_id", config.pad),
            ("eos_token_id", config.eos),
            ("decoder_start_token_id", config.decoder_start),
        ] {
            file.insert(key.to_owned(), json!(id));
        }
        Ok(Value::Object(file))
    }
}

/// Writes tensors of f32, sorted by name.
///
/// It does not stop when the user asks to: what a training has made is worth a moment's waiting.
pub(crate) fn write_tensors(tensors: &Tensors, path: &Path) -> Result<()> {
    let outgoing =
        |(name, tensor): (&String, &Tensor)| Outgoing::tensor(name.clone(), tensor.clone());
    weights::write(path, tensors.iter().map(outgoing).collect())
}
