#!/usr/bin/env python3
"""Makes folders with T5 models of random weights, for measuring: nothing is downloaded.

    python3 models.py DIR --shape t5-base --tokenizer tokenizer.json

The folder DIR holds `config.json`, `model.safetensors` and the tokenizer, as transformers and deft read them. Both must see the same
weights: a model of deft's own (`init: random`) has others. Weights depend on the seed, the tensor's name and its shape alone, and are
written as they are drawn: a model of any size takes a few hundred megabytes of memory. It needs numpy.
"""

import argparse
import json
import math
import pathlib
import shutil
import struct
import sys
import zlib

import numpy

# Numbers that are drawn at once.
CHUNK = 1 << 24

VOCABULARY = 32128
GATED = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
SHAPES = {
    # The first T5: no gate, the head is the embeddings.
    "t5-base": {"d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 12, "num_heads": 12, "feed_forward_proj": "relu"},
    "t5-base-lm-adapt": {"d_model": 768, "d_kv": 64, "d_ff": 2048, "num_layers": 12, "num_heads": 12, **GATED},
    "t5-large-lm-adapt": {"d_model": 1024, "d_kv": 64, "d_ff": 2816, "num_layers": 24, "num_heads": 16, **GATED},
    "t5-xl-lm-adapt": {"d_model": 2048, "d_kv": 64, "d_ff": 5120, "num_layers": 24, "num_heads": 32, **GATED},
    "tiny": {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4, **GATED},
}


def config(shape):
    """What `config.json` says of a shape."""
    return {
        "architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "is_encoder_decoder": True, "vocab_size": VOCABULARY,
        "num_decoder_layers": shape["num_layers"], "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128,
        "dropout_rate": 0.1, "layer_norm_epsilon": 1e-6, "initializer_factor": 1.0, "pad_token_id": 0, "eos_token_id": 1,
        "decoder_start_token_id": 0, "tie_word_embeddings": True, **shape,
    }


def tensors(config):
    """Name, shape and deviation of each tensor; a deviation of 0 stands for ones."""
    width, inner, hidden = config["d_model"], config["num_heads"] * config["d_kv"], config["d_ff"]
    narrow = 1 / math.sqrt(width)
    yield "shared.weight", (VOCABULARY, width), 1.0
    for part, attentions in (("encoder", ["SelfAttention"]), ("decoder", ["SelfAttention", "EncDecAttention"])):
        for block in range(config["num_layers"]):
            for layer, name in enumerate(attentions):
                path = f"{part}.block.{block}.layer.{layer}"
                yield f"{path}.{name}.q.weight", (inner, width), 1 / math.sqrt(width * config["d_kv"])
                yield f"{path}.{name}.k.weight", (inner, width), narrow
                yield f"{path}.{name}.v.weight", (inner, width), narrow
                yield f"{path}.{name}.o.weight", (width, inner), 1 / math.sqrt(inner)
                if block == 0 and name == "SelfAttention":
                    buckets = (config["relative_attention_num_buckets"], config["num_heads"])
                    yield f"{path}.{name}.relative_attention_bias.weight", buckets, narrow
                yield f"{path}.layer_norm.weight", (width,), 0.0
            path = f"{part}.block.{block}.layer.{len(attentions)}"
            gated = config["feed_forward_proj"].startswith("gated-")
            for name in ["wi_0", "wi_1"] if gated else ["wi"]:
                yield f"{path}.DenseReluDense.{name}.weight", (hidden, width), narrow
            yield f"{path}.DenseReluDense.wo.weight", (width, hidden), 1 / math.sqrt(hidden)
            yield f"{path}.layer_norm.weight", (width,), 0.0
        yield f"{part}.final_layer_norm.weight", (width,), 0.0
    if not config["tie_word_embeddings"]:
        # Narrower than in transformers, so that the losses are those of a model that knows nothing.
        yield "lm_head.weight", (VOCABULARY, width), narrow


def encoded(numbers, dtype):
    """The bytes of some numbers in f32: as they are, or rounded to the nearest of bf16."""
    if dtype == "f32":
        return numbers.astype("<f4").tobytes()
    bits = numbers.view(numpy.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()


def write_weights(file, config, dtype, seed):
    """A safetensors file: the length of a header, the header, and the bytes of each tensor."""
    size = {"f32": 4, "bf16": 2}[dtype]
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, shape, _ in tensors(config):
        start, end = end, end + math.prod(shape) * size
        header[name] = {"dtype": dtype.upper(), "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for name, shape, deviation in tensors(config):
        generator = numpy.random.default_rng([seed, zlib.crc32(name.encode())])
        count = math.prod(shape)
        for start in range(0, count, CHUNK):
            some = min(CHUNK, count - start)
            if deviation:
                numbers = generator.standard_normal(some, dtype=numpy.float32) * numpy.float32(deviation)
            else:
                numbers = numpy.ones(some, dtype=numpy.float32)
            file.write(encoded(numbers, dtype))
    return end // size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=pathlib.Path, help="folder that is made")
    parser.add_argument("--shape", choices=SHAPES, default="t5-base")
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True, help="a tokenizer.json of T5's vocabulary")
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="bf16")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    made = config(SHAPES[options.shape])
    (options.dir / "config.json").write_text(json.dumps(made, indent=2) + "\n")
    shutil.copyfile(options.tokenizer, options.dir / "tokenizer.json")
    # A file of this name is whole.
    beside = options.dir / "model.safetensors.part"
    with open(beside, "wb") as file:
        count = write_weights(file, made, options.dtype, options.seed)
    beside.rename(options.dir / "model.safetensors")
    print(f"{options.dir}: {options.shape}, {count:,} numbers in {options.dtype}", file=sys.stderr)


if __name__ == "__main__":
    main()
