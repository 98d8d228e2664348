//! Where a component computes, as a user says it.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What may be written, for messages.
const ALLOWED: &[&str] = &["auto", "cpu", "cuda", "cuda:N", "cuda:all (the encoder)"];

/// Where a component computes, written as one word: `auto`, `cpu`, `cuda`, `cuda:1`, and for an
/// encoder `cuda:all`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU that can be used, or the CPU if there is none. Whether anything is free on the
    /// GPU is not looked at: a full one is an error, not another device.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU of this number, counted from 0; `cuda` is the first.
    Cuda(usize),
    /// Every GPU that can be used, one at least: for an encoder alone.
    EveryCuda,
}

impl DeviceChoice {
    /// Whether it is a GPU or nothing.
    pub(crate) fn is_cuda(self) -> bool {
        matches!(self, Self::Cuda(_) | Self::EveryCuda)
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "cpu" => Some(Self::Cpu),
            "cuda" => Some(Self::Cuda(0)),
            "cuda:all" => Some(Self::EveryCuda),
            _ => {
                let number = text.strip_prefix("cuda:")?;
                // Rust's own parser takes a sign as well.
                let is_plain = number.bytes().all(|byte| byte.is_ascii_digit());
                number.parse().ok().filter(|_| is_plain).map(Self::Cuda)
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::EveryCuda => f.write_str("cuda:all"),
        }
    }
}

impl Serialize for DeviceChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DeviceChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::unknown_variant(&text, ALLOWED))
    }
}

impl JsonSchema for DeviceChoice {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "DeviceChoice".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^(auto|cpu|cuda(:([0-9]+|all))?)$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deft_core::options::parse;
    use serde_json::{Value, json};

    #[test]
    fn every_spelling_is_read_and_written_again() {
        for (text, choice, written) in [
            ("auto", DeviceChoice::Auto, "auto"),
            ("cpu", DeviceChoice::Cpu, "cpu"),
            ("cuda", DeviceChoice::Cuda(0), "cuda:0"),
            ("cuda:3", DeviceChoice::Cuda(3), "cuda:3"),
            ("cuda:all", DeviceChoice::EveryCuda, "cuda:all"),
        ] {
            assert_eq!(parse::<DeviceChoice>(&json!(text)).expect("a device"), choice);
            assert_eq!(serde_json::to_value(choice).expect("JSON"), Value::from(written));
        }
    }

    #[test]
    fn what_is_no_device_is_answered_with_what_is() {
        for wrong in ["gpu", "cuda:", "cuda:+1", "cuda:-1", "cuda:one", "CPU", ""] {
            let error = parse::<DeviceChoice>(&json!(wrong)).expect_err("no device");
            assert_eq!(error.message(), format!("unknown value `{wrong}`"));
            let hint = error.hint().expect("a hint");
            assert!(hint.contains("allowed: auto, cpu, cuda, cuda:N, cuda:all"), "{hint}");
        }
        let error = parse::<DeviceChoice>(&json!(0)).expect_err("no text");
        assert!(error.message().contains("expected a string"), "{error}");
    }
}
