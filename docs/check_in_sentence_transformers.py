#!/usr/bin/env python3
"""Compares the vectors of the encoder `bert` with those that transformers computes from the model's folder.

    pip install torch transformers
    deft encode --encoder '{use: bert, model: FOLDER}' --input texts.jsonl --output vectors.npy
    python3 docs/check_in_sentence_transformers.py FOLDER texts.jsonl vectors.npy

`texts.jsonl` has a text as `input` in each line. Each is encoded alone, in f32 on the CPU, and its states become a vector as
sentence-transformers makes it: with the folder's pooling, Dense modules and normalisation; the mean, in a folder without modules.
With `--library` sentence-transformers itself computes them. Exit code 0 if no two numbers differ by more than 1e-4.
"""

import argparse
import json
import pathlib
import sys

import torch


def read(path, default):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else default


def pooled(states, names):
    """The vectors of one text's states that the modes name, side by side."""
    count = len(states)
    weights = torch.arange(1, count + 1, dtype=torch.float32).unsqueeze(1)
    vectors = {
        "cls": states[0],
        "max": states.max(0).values,
        "mean": states.mean(0),
        "mean_sqrt_len_tokens": states.sum(0) / count**0.5,
        "weightedmean": (states * weights).sum(0) / weights.sum(),
        "lasttoken": states[-1],
    }
    return torch.cat([vectors[name] for name in names])


def modes(config):
    """The modes of a Pooling, in the order in which their vectors are joined."""
    named = config.get("pooling_mode")
    if named:
        return [named] if isinstance(named, str) else named
    switches = ["cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"]
    names = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
    return [name for name, switch in zip(names, switches) if config.get("pooling_mode_" + switch)] or ["mean"]


def dense(folder, vector):
    from safetensors.torch import load_file

    config, tensors = read(folder / "config.json", {}), load_file(folder / "model.safetensors")
    vector = torch.nn.functional.linear(vector, tensors["linear.weight"], tensors.get("linear.bias"))
    return vector.tanh() if config["activation_function"].endswith("Tanh") else vector


@torch.no_grad()
def by_transformers(folder, texts, max_tokens):
    from transformers import AutoModel, AutoTokenizer

    modules = read(folder / "modules.json", [{"path": "", "type": "Transformer"}])
    network = folder / modules[0]["path"]
    settings = read(network / "sentence_bert_config.json", {})
    tokenizer = AutoTokenizer.from_pretrained(network)
    model = AutoModel.from_pretrained(network).eval()
    limit = max_tokens or settings.get("max_seq_length")
    limit = limit or min(tokenizer.model_max_length, model.config.max_position_embeddings)
    prompts = read(folder / "config_sentence_transformers.json", {})
    prompt = prompts.get("prompts", {}).get(prompts.get("default_prompt_name")) or ""
    for text in texts:
        text = prompt + text
        text = text.lower() if settings.get("do_lower_case") else text
        ids = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
        vector = model(**ids).last_hidden_state[0]
        if len(modules) == 1:
            vector = vector.mean(0)
        for module in modules[1:]:
            kind = module["type"].rsplit(".", 1)[-1]
            if kind == "Pooling":
                vector = pooled(vector, modes(read(folder / module["path"] / "config.json", {})))
            elif kind == "Dense":
                vector = dense(folder / module["path"], vector)
            elif kind == "Normalize":
                vector = torch.nn.functional.normalize(vector, dim=0)
            else:
                sys.exit(f"this check knows no module {kind}")
        yield vector


def by_library(folder, texts, max_tokens):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    model.max_seq_length = max_tokens or model.max_seq_length
    yield from model.encode(texts, convert_to_tensor=True)


def load(path):
    if path.suffix == ".npy":
        import numpy

        return torch.from_numpy(numpy.load(path))
    from safetensors.torch import load_file

    return load_file(path)["vectors"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("texts", type=pathlib.Path)
    parser.add_argument("vectors", type=pathlib.Path)
    parser.add_argument("--max-tokens", type=int, help="the encoder's `max_tokens`, where it is set")
    parser.add_argument("--library", action="store_true", help="ask sentence-transformers itself")
    options = parser.parse_args()
    with open(options.texts, encoding="utf-8") as file:
        texts = [json.loads(line)["input"] for line in file]
    found = load(options.vectors)
    if len(texts) != len(found):
        sys.exit(f"{len(texts)} texts, but {len(found)} vectors")
    compute = by_library if options.library else by_transformers
    worst = 0.0
    for wanted, vector in zip(compute(options.folder, texts, options.max_tokens), found):
        if wanted.shape != vector.shape:
            sys.exit(f"{len(wanted)} components, but {len(vector)} in {options.vectors}")
        worst = max(worst, (wanted - vector).abs().max().item())
    print(f"{len(texts)} texts, {found.shape[1]} components, largest difference {worst:.2e}")
    sys.exit(not worst <= 1e-4)


if __name__ == "__main__":
    main()
