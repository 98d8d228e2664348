"""Times faiss.IndexFlatL2 or IndexFlatIP on what `cargo bench -p deft-exact -- --write FOLDER` left.

pip install faiss-cpu numpy; python flat.py FOLDER [threads] [repeat] [l2|ip]
"""

import resource
import sys
import time

import faiss
import numpy as np


def seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), usage.ru_utime + usage.ru_stime


def main():
    folder, threads, repeat, metric = (sys.argv[1:] + ["2", "5", "l2"][len(sys.argv) - 2 :])[:4]
    threads, repeat = int(threads), int(repeat)
    dimension, k = map(int, open(f"{folder}/shape").read().split())
    rows, queries = (
        np.fromfile(f"{folder}/{name}.f32", np.float32).reshape(-1, dimension) for name in ("rows", "queries")
    )
    faiss.omp_set_num_threads(threads)
    index = {"l2": faiss.IndexFlatL2, "ip": faiss.IndexFlatIP}[metric](dimension)
    index.add(rows)
    index.search(queries[:8], k)
    for _ in range(repeat):
        (wall, cpu) = seconds()
        index.search(queries, k)
        wall, cpu = (after - before for after, before in zip(seconds(), (wall, cpu)))
        print(
            f"faiss {faiss.__version__} Flat {metric}: {wall:.3f} s, processor {cpu:.3f} s; "
            f"queries/s {len(queries) / wall:.0f} by clock, {len(queries) * threads / cpu:.0f} by processor"
        )


main()
