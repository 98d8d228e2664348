"""What Python's faiss makes of the indexes of neighbours.rs, on the same files.

pip install faiss-cpu numpy; python neighbours.py FOLDER [threads]
"""

import os
import resource
import sys
import time

import faiss
import numpy as np

AT_ONCE = 256
ROUNDS = 5


def seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return np.array([time.perf_counter(), usage.ru_utime + usage.ru_stime])


def search(index, queries, k):
    rounds = []
    for _ in range(ROUNDS):
        start = seconds()
        found = [index.search(queries[i : i + AT_ONCE], k)[1] for i in range(0, len(queries), AT_ONCE)]
        rounds.append(tuple(seconds() - start))
    wall, cpu = sorted(rounds)[ROUNDS // 2]
    return np.concatenate(found), f"queries/s {len(queries) / wall:.0f}, per processor {len(queries) / cpu:.0f}"


def main():
    folder, threads = sys.argv[1], int((sys.argv[2:] + ["2"])[0])
    dimension, k = map(int, open(f"{folder}/shape").read().split())
    read = lambda name: np.fromfile(f"{folder}/{name}.f32", np.float32).reshape(-1, dimension)
    rows, queries = read("rows"), read("queries")
    truth = None
    codes = f"PQ{dimension // 2}x4fs"
    # The last is what `auto` does with vectors of its own.
    for factory in ["Flat", f"OPQ8_{dimension // 4},HNSW512,PQ8np", codes, f"{codes},RFlat"]:
        index = faiss.index_factory(dimension, factory)
        if "HNSW" in factory:
            faiss.ParameterSpace().set_index_parameter(index, "efConstruction", 200)
        # Ours is built on one thread.
        faiss.omp_set_num_threads(1)
        start = time.perf_counter()
        index.train(rows)
        index.add(rows)
        built = time.perf_counter() - start
        faiss.omp_set_num_threads(threads)
        if "HNSW" in factory:
            faiss.ParameterSpace().set_index_parameter(index, "efSearch", k + 16)
        if "RFlat" in factory:
            index.k_factor = 4
        index.search(queries[:8], k)
        found, rates = search(index, queries, k)
        truth = found if truth is None else truth
        recall = np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(found, truth)])
        print(
            f"faiss {faiss.__version__} {factory} | recall {recall:.4f} | {rates} | "
            f"{len(faiss.serialize_index(index)) / len(rows):.0f} bytes/row | built in {built:.1f} s",
            flush=True,
        )


os.environ.setdefault("OMP_WAIT_POLICY", "passive")
main()
