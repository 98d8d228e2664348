#!/usr/bin/env python3
"""Measures how fast PyTorch turns texts into vectors: transformers' T5 encoder and the mean of its states.

    pip install torch transformers
    python3 encode_torch.py DIR PROMPTS --peak 790e12

DIR is a model's folder, PROMPTS a file of JSON objects with a text `input`. Batches are those of deft: texts sorted by length, padded,
within a budget of tokens. Attention is measured as transformers writes it (`eager`), with PyTorch's fused one (`sdpa`) where the installed
transformers has it for T5, and then the faster of the two compiled with dynamic shapes (`compile`). Of each a round before is not counted.
The last line tells the best.
"""

import argparse
import json
import pathlib
import sys

import torch
import transformers
from tokenizers import Tokenizer
from transformers import T5EncoderModel

import common
from common import line

DTYPES = {"f32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}


def open_model(options, attention):
    """The encoder with one kind of attention, or None where transformers has it not."""
    try:
        model = T5EncoderModel.from_pretrained(options.dir, attn_implementation=attention)
    except (ValueError, ImportError) as error:
        line("skipped", f"{attention}: {error}")
        return None
    return model.to(options.device, DTYPES[options.precision]).eval()


@torch.inference_mode()
def vectors(model, rows, groups, options):
    """The mean of each text's states, in f32 in main memory."""
    out = torch.empty(len(rows), model.config.d_model)
    computed = []
    for group in groups:
        length = common.padded_length(len(rows[group[0]]), options.multiple)
        ids = torch.zeros(len(group), length, dtype=torch.long)
        mask = torch.zeros(len(group), length, dtype=torch.long)
        for at, position in enumerate(group):
            ids[at, : len(rows[position])] = torch.tensor(rows[position])
            mask[at, : len(rows[position])] = 1
        if options.device != "cpu":
            ids, mask = ids.pin_memory(), mask.pin_memory()
        ids, mask = ids.to(options.device, non_blocking=True), mask.to(options.device, non_blocking=True)
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
        sums = (states * mask.unsqueeze(-1).to(states.dtype)).sum(1, dtype=torch.float32)
        computed.append(sums / mask.sum(1, keepdim=True))
    for group, some in zip(groups, computed):
        out[group] = some.cpu()
    return out


def measure(name, model, texts, tokenizer, options):
    """Prints the numbers of one model; returns the seconds of a round."""
    rows = common.tokenise(tokenizer, texts, options.max_tokens)
    lengths = [len(ids) for ids in rows]
    groups = common.batches(lengths, options.batch_tokens)
    config = json.loads((options.dir / "config.json").read_text())
    work = common.work(config, lengths, groups, options.multiple)
    found = vectors(model, rows, groups, options)
    if options.device != "cpu":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    tokenising = common.timed(options.rounds, lambda: common.tokenise(tokenizer, texts, options.max_tokens))
    with common.Watch(options.device) as watch:
        computing = common.timed(options.rounds, lambda: vectors(model, rows, groups, options))
    seconds = tokenising + computing
    print(f"encode: PyTorch {torch.__version__} {name}, {options.dir.name}, {options.device}, {options.precision}")
    line("texts", f"{len(texts)}, in batches of {options.batch_tokens} tokens")
    line("time", f"{seconds:.3f} s")
    line("of it tokenising", f"{tokenising:.3f} s, {100 * tokenising / seconds:.1f} %, measured by itself")
    line("tokens/s", f"{work['tokens'] / seconds:.0f}")
    line("tokens/s in batches", f"{work['tokens'] / computing:.0f}")
    line("padded tokens/s", f"{work['padded_tokens'] / seconds:.0f}")
    for title, speed in [
        ("FLOP/s", work["operations"] / seconds),
        ("padded FLOP/s", work["padded_operations"] / seconds),
        ("FLOP/s in batches", work["operations"] / computing),
    ]:
        share = f", {100 * speed / options.peak:.1f} % of {options.peak:.2e}" if options.peak else ""
        line(title, f"{speed:.3e}{share}")
    watch.report()
    if options.device != "cpu":
        line("of it tensors", f"{torch.cuda.max_memory_allocated() / 1e9:.2f} GB at most")
    if not found.isfinite().all():
        sys.exit("error: some vectors are no numbers")
    return computing


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("prompts", type=pathlib.Path)
    parser.add_argument("--device", default="cuda:0", help="`cpu` for trying")
    parser.add_argument("--precision", choices=DTYPES, default="bf16")
    parser.add_argument("--batch-tokens", type=int, default=32768)
    parser.add_argument("--max-tokens", type=int, default=512)
    parser.add_argument("--rows", type=int, help="texts to encode; the prompts go round as often as needed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peak", type=float, help="the most that the device can do, in FLOP/s")
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    options.multiple = 1 if options.device == "cpu" else 8
    torch.set_float32_matmul_precision("high" if options.precision == "tf32" else "highest")
    texts = common.read_prompts(options.prompts, options.rows)
    tokenizer = Tokenizer.from_file(str(options.dir / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    measured = {}

    def attempt(name, prepare):
        """Measures a model, if it can be had and has room."""
        try:
            model = prepare()
            if model is not None:
                measured[name] = measure(name, model, texts, tokenizer, options)
        except torch.cuda.OutOfMemoryError:
            line("skipped", f"{name}: the device has not enough memory")

    for attention in ["eager", "sdpa"]:
        attempt(attention, lambda: open_model(options, attention))
    if not measured:
        sys.exit("error: nothing could be measured")
    if not options.no_compile:
        attention = min(measured, key=measured.get)
        try:
            attempt(f"{attention}, compile", lambda: torch.compile(open_model(options, attention), dynamic=True))
        except Exception as error:  # Whatever a compiler may raise: the others count.
            line("skipped", f"compile: {str(error).partition(chr(10))[0]}")
    best = min(measured, key=measured.get)
    print(f"best of PyTorch: {best}")


if __name__ == "__main__":
    main()
