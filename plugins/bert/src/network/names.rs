//! What the tensors of each kind of model are called.

use super::Family;

/// The tensors before the blocks, of every family.
pub(super) const POSITIONS: &str = "embeddings.position_embeddings.weight";
pub(super) const TYPES: &str = "embeddings.token_type_embeddings.weight";
pub(super) const NORM: &str = "embeddings.LayerNorm";

/// The layers of one block, without `.weight` and `.bias`.
#[derive(Debug)]
pub(super) struct BlockNames {
    /// Query, key, value.
    pub(super) projections: [String; 3],
    pub(super) mixed: String,
    pub(super) attention_norm: String,
    pub(super) up: String,
    pub(super) down: String,
    pub(super) norm: String,
}

pub(super) fn block_names(family: Family, layer: usize) -> BlockNames {
    let (parent, names) = match family {
        Family::Bert | Family::Roberta => (
            "encoder",
            [
                "attention.self.query",
                "attention.self.key",
                "attention.self.value",
                "attention.output.dense",
                "attention.output.LayerNorm",
                "intermediate.dense",
                "output.dense",
                "output.LayerNorm",
            ],
        ),
        Family::DistilBert => (
            "transformer",
            [
                "attention.q_lin",
                "attention.k_lin",
                "attention.v_lin",
                "attention.out_lin",
                "sa_layer_norm",
                "ffn.lin1",
                "ffn.lin2",
                "output_layer_norm",
            ],
        ),
    };
    let [query, key, value, mixed, attention_norm, up, down, norm] =
        names.map(|name| format!("{parent}.layer.{layer}.{name}"));
    BlockNames { projections: [query, key, value], mixed, attention_norm, up, down, norm }
}
