#!/usr/bin/env python3
"""Opens what `deft` trained in transformers (an adapter: in PEFT) and compares the scores.

    pip install torch transformers peft
    deft read --reader READER --source EVALUATION > examples.jsonl
    python3 docs/check_in_transformers.py examples.jsonl runs/NAME/tasks/TASK/ARM/seed-1

The examples must be those of the task's `evaluation_source`. For each of them the log-probabilities of the answer options are computed
there, in f32 on the CPU, and compared with `predictions.jsonl`. Exit code 0 if no two differ by more than 1e-3.
"""

import argparse
import json
import pathlib
import sys

import torch
from transformers import AutoModelForSeq2SeqLM, PreTrainedTokenizerFast


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def open_model(folder):
    """The model of a folder and the folder of its tokenizer."""
    config = folder / "adapter_config.json"
    if not config.exists():
        return AutoModelForSeq2SeqLM.from_pretrained(folder), folder
    from peft import PeftModel

    base = json.loads(config.read_text())["base_model_name_or_path"]
    model = AutoModelForSeq2SeqLM.from_pretrained(base)
    return PeftModel.from_pretrained(model, folder), pathlib.Path(base)


@torch.no_grad()
def log_probs(model, tokenizer, example, max_tokens):
    """The summed log-probability of each option, its `</s>` included."""
    ids = tokenizer(example["input"]).input_ids
    if len(ids) > max_tokens:
        ids = ids[: max_tokens - 1] + [tokenizer.eos_token_id]
    sums = []
    for option in example["answer_choices"]:
        labels = torch.tensor([tokenizer(option.strip()).input_ids])
        logits = model(input_ids=torch.tensor([ids]), labels=labels).logits
        chosen = logits.log_softmax(-1).gather(2, labels.unsqueeze(2))
        sums.append(chosen.sum().item())
    return sums


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("examples", type=pathlib.Path)
    parser.add_argument("seed_folder", type=pathlib.Path)
    parser.add_argument("--max-tokens", type=int, default=512, help="the trainer's `max_tokens`")
    options = parser.parse_args()
    predictions = lines(options.seed_folder / "predictions.jsonl")
    examples = lines(options.examples)
    if len(examples) != len(predictions):
        sys.exit(f"{len(examples)} examples, but {len(predictions)} predictions")
    model, folder = open_model(options.seed_folder / "model")
    model.eval()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), eos_token="</s>", pad_token="<pad>"
    )
    worst, agreed = 0.0, 0
    for example, prediction in zip(examples, predictions):
        wanted = prediction["option_scores"]["log_probs"]
        found = log_probs(model, tokenizer, example, options.max_tokens)
        worst = max(worst, *(abs(a - b) for a, b in zip(found, wanted)))
        agreed += max(range(len(found)), key=found.__getitem__) == prediction["predicted"]
    print(f"{type(model).__name__}: {len(examples)} examples, same answer for {agreed}, largest difference {worst:.2e}")
    sys.exit(worst > 1e-3)


if __name__ == "__main__":
    main()
