"""How far transformers is in bf16 from its own values in float64, on the models that the tests compare with.

pip install torch transformers; python check_bf16_in_transformers.py FOLDER…

A folder has a T5, and in goldens.safetensors what it gives in float64: the limits in plugins/t5/src/parity/bf16.rs
are these deviations.
"""

import json
import statistics
import sys

import torch
from safetensors.torch import load_file
from transformers import T5ForConditionalGeneration


def deviation(found, wanted):
    return ((found.float() - wanted.float()).norm() / wanted.float().norm()).item()


for folder in sys.argv[1:]:
    wanted = load_file(f"{folder}/goldens.safetensors")
    model = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.bfloat16).eval()
    ids, mask, labels = (wanted[name].long() for name in ("input_ids", "attention_mask", "labels"))
    found = model(input_ids=ids, attention_mask=mask, labels=labels)
    found.loss.backward()
    states = found.encoder_last_hidden_state
    loss = json.load(open(f"{folder}/goldens.json"))["loss"]
    gradients = [
        deviation(parameter.grad, wanted[f"grad.{name}"].reshape(parameter.shape))
        for name, parameter in model.named_parameters()
    ]
    real = mask.bool()
    print(
        f"{folder}: states {deviation(states[real], wanted['encoder_last_hidden_state'].reshape(states.shape)[real]):.4f}, "
        f"loss {abs(found.loss.item() - loss) / loss:.4f}, "
        f"gradients: median {statistics.median(gradients):.3f}, worst {max(gradients):.3f}"
    )
