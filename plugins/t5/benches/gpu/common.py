"""What the measurements of PyTorch share: texts, batches, the work that is counted, and what the driver tells.

All of it is as in the measurements of deft beside this file (texts.rs, work.rs, watch.rs).
"""

import itertools
import json
import math
import resource
import statistics
import subprocess
import threading
import time


def line(name, value):
    """One line of a report."""
    print(f"  {name:<24}{value}", flush=True)


def read_prompts(path, rows=None):
    """The texts of a file of JSON objects with `input`, which go round where more are wanted."""
    with open(path, encoding="utf-8") as file:
        texts = [json.loads(line)["input"] for line in file]
    return list(itertools.islice(itertools.cycle(texts), rows or len(texts)))


def tokenise(tokenizer, texts, max_tokens, end=1):
    """The ids of each text, `</s>` last, of a `tokenizers.Tokenizer` without limits of its own."""
    rows = []
    for encoding in tokenizer.encode_batch(texts):
        ids = encoding.ids
        if not ids or ids[-1] != end:
            ids = ids + [end]
        rows.append(ids if len(ids) <= max_tokens else ids[: max_tokens - 1] + [end])
    return rows


def batches(lengths, budget):
    """Positions in groups of similar length, the longest first, of at most `budget` tokens with padding."""
    groups = []
    for position in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
        if groups and lengths[groups[-1][0]] * (len(groups[-1]) + 1) <= budget:
            groups[-1].append(position)
        else:
            groups.append([position])
    return groups


def padded_length(length, multiple):
    """The length of a batch whose longest text has `length` tokens."""
    return -(-length // multiple) * multiple


def operations(config, length):
    """Floating-point operations of the encoder on one text, where a multiplication and an addition are two.

    In each layer: the projections 2 · L · 4 · d_model · inner, the feed-forward 2 · L · (3 with a gate, else 2) · d_model · d_ff, and
    attention 2 · 2 · L² · inner. Nothing else is counted.
    """
    inner = config["num_heads"] * config["d_kv"]
    matrices = 3 if config["feed_forward_proj"].startswith("gated-") else 2
    token = 4 * config["d_model"] * inner + matrices * config["d_model"] * config["d_ff"]
    return 2.0 * config["num_layers"] * length * (token + 2 * length * inner)


def work(config, lengths, groups, multiple):
    """Tokens and operations, without and with padding."""
    padded = [padded_length(lengths[group[0]], multiple) for group in groups for _ in group]
    return {
        "tokens": sum(lengths),
        "operations": sum(operations(config, length) for length in lengths),
        "padded_tokens": sum(padded),
        "padded_operations": sum(operations(config, length) for length in padded),
    }


def timed(rounds, run):
    """Seconds that something takes, of several rounds the one in the middle."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median_high(seconds)


class Watch:
    """Asks `nvidia-smi` for memory and activity of a GPU while a block runs; on a CPU it does nothing.

    GPUs are counted as they are in the machine, whatever CUDA_VISIBLE_DEVICES says.
    """

    def __init__(self, device):
        self.answers, self.stopped, self.thread, self.since = [], threading.Event(), None, 0.0
        if device.startswith("cuda"):
            self.number = device.partition(":")[2] or "0"
            self.thread = threading.Thread(target=self._ask)

    def __enter__(self):
        if self.thread:
            self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        if self.thread:
            self.thread.join()

    def warm(self):
        """From now on it is counted how busy the device is."""
        self.since = time.perf_counter()

    def _ask(self):
        command = ["nvidia-smi", "--query-gpu=memory.used,utilization.gpu", "--format=csv,noheader,nounits", "--id", self.number]
        while not self.stopped.wait(0.05):
            try:
                text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                memory, busy = text.splitlines()[0].split(",")
                self.answers.append((time.perf_counter(), float(memory) * 2**20, float(busy)))
            except (OSError, subprocess.CalledProcessError, ValueError, IndexError):
                pass

    def report(self):
        """Prints what was seen."""
        main_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        line("main memory", f"{main_memory / 1e9:.2f} GB at most")
        if self.thread is None:
            return
        most = max((memory for _, memory, _ in self.answers), default=0.0)
        busy = [busy for at, _, busy in self.answers if at >= self.since]
        line("device memory", f"{most / 1e9:.2f} GB at most, by nvidia-smi")
        idle = 100 - statistics.mean(busy) if busy else math.nan
        line("device idle", f"{idle:.1f} % by nvidia-smi, asked {len(busy)} times")
