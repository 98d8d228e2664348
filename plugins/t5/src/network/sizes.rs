//! Bounds for the sizes of a network: what would overflow a number or the memory is refused.

use super::config::NetworkConfig;

/// Most parameters that are believed, 400 GB of them: the largest T5 has 11 billion.
const MAX_PARAMETERS: usize = 100_000_000_000;

/// Refuses a network of sizes that cannot be.
pub(super) fn check(config: &NetworkConfig) -> Result<(), String> {
    let is_wrong = |(_, found, largest): &(_, usize, usize)| !(1..=*largest).contains(found);
    if let Some((name, found, largest)) = sizes(config).into_iter().find(is_wrong) {
        return Err(format!("`{name}` must be in 1 ..= {largest} (found: {found})"));
    }
    let parts = parts(config);
    let count: usize = parts.iter().map(|(_, count)| count).sum();
    match parts.iter().max_by_key(|(_, count)| count) {
        Some((sizes, most)) if count > MAX_PARAMETERS => Err(format!(
            "the network must have at most {MAX_PARAMETERS} parameters (found: about {count}, \
             {most} of them by {sizes})"
        )),
        _ => Ok(()),
    }
}

/// Every size with the largest that is believed, at least ten times that of any T5. No product of
/// these that makes a tensor or a network overflows.
fn sizes(config: &NetworkConfig) -> [(&'static str, usize, usize); 8] {
    [
        ("vocab_size", config.vocabulary, 10_000_000),
        ("d_model", config.d_model, 100_000),
        ("d_kv", config.d_kv, 10_000),
        ("d_ff", config.d_ff, 1_000_000),
        ("num_heads", config.heads, 10_000),
        ("num_layers", config.encoder_layers, 1000),
        ("num_decoder_layers", config.decoder_layers, 1000),
        ("relative_attention_num_buckets", config.buckets, 1_000_000),
    ]
}

/// The sizes that a part of the parameters is the product of, and how many these are at most.
fn parts(config: &NetworkConfig) -> [(&'static str, usize); 4] {
    let (encoder, decoder, width) = (config.encoder_layers, config.decoder_layers, config.d_model);
    let attentions = encoder + 2 * decoder;
    [
        ("`vocab_size` × `d_model`", 2 * config.vocabulary * width),
        ("`num_heads` × `d_kv` × `d_model` in each layer", 4 * config.inner() * width * attentions),
        ("`d_ff` × `d_model` in each layer", 3 * config.d_ff * width * (encoder + decoder)),
        ("`relative_attention_num_buckets` × `num_heads`", 2 * config.buckets * config.heads),
    ]
}

#[cfg(test)]
mod tests {
    use crate::network::config::tests::parse;
    use deft_core::ErrorKind;
    use serde_json::json;

    #[test]
    fn a_size_of_nothing_or_of_too_much_is_named_with_what_is_allowed() {
        let names = [
            "vocab_size",
            "d_model",
            "d_kv",
            "d_ff",
            "num_heads",
            "num_layers",
            "num_decoder_layers",
            "relative_attention_num_buckets",
        ];
        for (name, size) in names.iter().flat_map(|&name| [(name, 0), (name, u64::MAX >> 1)]) {
            let error = parse(&json!({name: size})).expect_err("no such size");
            let start = format!("`{name}` must be in 1 ..= ");
            assert!(error.message().starts_with(&start), "{error}");
            assert!(error.message().ends_with(&format!("(found: {size})")), "{error}");
            assert_eq!(
                (error.kind(), error.context("file")),
                (ErrorKind::Model, Some("config.json"))
            );
        }
    }

    #[test]
    fn sizes_whose_product_cannot_be_held_are_named() {
        for (changes, sizes) in [
            (json!({"vocab_size": 10_000_000, "d_model": 100_000}), "by `vocab_size` × `d_model`"),
            (
                json!({"num_heads": 10_000, "d_kv": 10_000, "d_model": 100_000, "num_layers": 1000}),
                "by `num_heads` × `d_kv` × `d_model`",
            ),
            (json!({"d_ff": 1_000_000, "d_model": 100_000}), "by `d_ff` × `d_model`"),
        ] {
            let error = parse(&changes).expect_err("too many parameters");
            assert!(error.message().contains("at most 100000000000 parameters"), "{error}");
            assert!(error.message().contains(sizes), "{error}");
            assert!(error.hint().is_some());
        }
        // The largest there is, of 11 billion, can be.
        let largest = json!({
            "vocab_size": 32128, "d_model": 1024, "d_kv": 128, "d_ff": 65536, "num_heads": 128,
            "num_layers": 24,
        });
        parse(&largest).expect("a T5");
    }
}
