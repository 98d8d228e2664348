#!/usr/bin/env python3
"""Measures how fast PyTorch trains a T5: transformers' model, computed in bf16 by autocast, weights and Adam in f32.

    pip install torch transformers peft
    python3 train_torch.py DIR --method full

DIR is a model's folder. A step is one batch of inputs and targets of the same lengths: nothing is padding. `full` trains all weights with
PyTorch's fused Adam; `ia3` trains vectors in f32 beside weights in bf16, by PEFT where it is installed, else by hand. Each is measured with
both kinds of attention that transformers may have, without and with gradient checkpointing. What has no room in the device's memory is told.
"""

import argparse
import gc
import json
import pathlib
import statistics
import time
import warnings

import torch
import transformers
from transformers import T5ForConditionalGeneration

import common
from common import line


def ia3_modules(config):
    """The projections that have a vector: the paper's, or where there is no gate what comes nearest."""
    return ["k", "v", "wi_1" if config["feed_forward_proj"].startswith("gated-") else "wi"]


class Scaled(torch.nn.Module):
    """A projection whose outputs are multiplied by a vector that is trained."""

    def __init__(self, projection):
        super().__init__()
        self.projection = projection
        ones = torch.ones(projection.out_features, device=projection.weight.device)
        self.ia3_l = torch.nn.Parameter(ones)

    def forward(self, states):
        states = self.projection(states)
        return states * self.ia3_l.to(states.dtype)


def with_ia3(model, modules):
    """The model with vectors on the outputs of these projections, and what put them there."""
    try:
        from peft import IA3Config, get_peft_model
    except ImportError:
        model.requires_grad_(False)
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                if name in modules and isinstance(child, torch.nn.Linear):
                    setattr(parent, name, Scaled(child))
        return model, "by hand"
    # No module is a "feedforward" one: PEFT would multiply its inputs.
    config = IA3Config(task_type="SEQ_2_SEQ_LM", target_modules=modules, feedforward_modules=[])
    return get_peft_model(model, config), "by PEFT"


def open_model(options, attention, checkpointing):
    """The model ready to be trained, and how its adapter was made."""
    model = T5ForConditionalGeneration.from_pretrained(options.dir, attn_implementation=attention)
    frozen = torch.bfloat16 if options.precision == "bf16" else torch.float32
    model.to(options.device, torch.float32 if options.method == "full" else frozen)
    model.config.use_cache = False
    how = ""
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if options.method == "ia3":
        model, how = with_ia3(model, ia3_modules(json.loads((options.dir / "config.json").read_text())))
    return model.train(), how


def step_times(model, options, watch):
    """Seconds of each measured step, and the last loss."""
    is_cuda = options.device != "cpu"
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.0, fused=is_cuda)
    generator = torch.Generator().manual_seed(1)
    computes_in_bf16, kind = options.precision == "bf16", torch.device(options.device).type
    seconds = []
    for step in range(options.warmup + options.steps):
        if step == options.warmup:
            watch.warm()
        inputs = torch.randint(2, 32000, (options.batch, options.input), generator=generator).to(options.device)
        targets = torch.randint(2, 32000, (options.batch, options.target), generator=generator).to(options.device)
        start = time.perf_counter()
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=computes_in_bf16):
            loss = model(input_ids=inputs, labels=targets).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        # A training looks at its loss, and so waits.
        value = loss.item()
        if is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return seconds[options.warmup :], value


def measure(options, attention, checkpointing):
    """Prints the numbers of one way to train."""
    activations = "with" if checkpointing else "without"
    print(f"train: PyTorch {torch.__version__} {attention}, {options.dir.name}, {options.device}, {options.precision}, {options.method}")
    line("step", f"{options.batch} examples of {options.input} and {options.target} tokens")
    line("activations", f"{activations} gradient checkpointing")
    if options.device != "cpu":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        with common.Watch(options.device) as watch:
            model, how = open_model(options, attention, checkpointing)
            count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
            seconds, loss = step_times(model, options, watch)
    except torch.cuda.OutOfMemoryError:
        line("skipped", "the device has not enough memory")
        return
    except (ValueError, ImportError) as error:
        line("skipped", str(error))
        return
    step = statistics.median_high(seconds)
    line("trained parameters", f"{count} {how}".rstrip())
    line("time of a step", f"{step:.4f} s, the median of {len(seconds)}")
    line("tokens/s", f"{options.batch * (options.input + options.target) / step:.0f}")
    line("last loss", f"{loss:.4f}")
    watch.report()
    if options.device != "cpu":
        line("of it tensors", f"{torch.cuda.max_memory_allocated() / 1e9:.2f} GB at most")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--device", default="cuda:0", help="`cpu` for trying")
    parser.add_argument("--precision", choices=["f32", "tf32", "bf16"], default="bf16")
    parser.add_argument("--method", choices=["full", "ia3"], default="full")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--input", type=int, default=512)
    parser.add_argument("--target", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=3)
    options = parser.parse_args()
    torch.set_float32_matmul_precision("high" if options.precision == "tf32" else "highest")
    transformers.logging.set_verbosity_error()
    # Names that are new in one version are not there in the one before.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    transformers.logging.disable_progress_bar()
    for attention in ["eager", "sdpa"]:
        for checkpointing in [False, True]:
            measure(options, attention, checkpointing)
            gc.collect()


if __name__ == "__main__":
    main()
