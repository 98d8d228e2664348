#!/usr/bin/env python3
"""Opens what the index `faiss` built in FAISS itself, searches it, and compares the ids with those that a run found.

    pip install faiss-cpu numpy safetensors
    deft encode --encoder ENCODER --queries --input QUERIES.jsonl --output queries.npy
    python3 docs/check_in_faiss.py runs/.store/faiss-FP runs/.store/ENCODER-FP queries.npy runs/NAME/tasks/TASK/ARM/hits.jsonl

The first folder has the index units (not `faiss-codec-…`), the second the vectors; `card.json` in each says what it was made from.
`queries.npy` has a vector for each line of the query source. Options of the index that are not the defaults of `factory: auto` are to be
given here, too. A query counts as equal if its ids are, or if those that differ have scores that differ by rounding alone. Exit code 0
if all queries are equal.
"""

import argparse
import json
import pathlib
import sys

import faiss
import numpy as np
from safetensors.numpy import load_file

# As in plugins/faiss/src/search.rs: rows beyond those wanted, and how many times those wanted a tie at the cut is followed.
BEYOND, MOST = 16, 8


class Vectors:
    """The stored vectors, a safetensors file for each part of the pool: F16, F32, or I8 with a scale for each row."""

    def __init__(self, folder):
        parts = sorted(folder.glob("part-*.safetensors")) or sys.exit(f"no vectors in {folder}")
        parts = [load_file(part) for part in parts]
        self.numbers = np.concatenate([part["vectors"] for part in parts])
        self.scales = np.concatenate([part["scales"] for part in parts]) if "scales" in parts[0] else None

    def rows(self, ids):
        rows = self.numbers[ids].astype(np.float32)
        return rows if self.scales is None else rows * self.scales[ids, None]


def best(ids, scores, k):
    """The order of hits: larger score, then smaller id."""
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]


def candidates(index, query, count, options):
    """What FAISS finds, a tie at the cut included."""
    fetched, most = min(count + BEYOND, index.ntotal), min(count * MOST, index.ntotal)
    while True:
        space = faiss.ParameterSpace()
        for name, value in [("efSearch", max(options.ef_search, fetched)), ("nprobe", options.nprobe)]:
            try:
                space.set_index_parameter(index, name, value)
            except RuntimeError:  # an index without a graph, or without lists
                pass
        distances, ids = index.search(query[None], fetched)
        distances, ids = distances[0][ids[0] >= 0], ids[0][ids[0] >= 0]
        is_cut_in_a_tie = len(ids) == fetched and distances[min(count, fetched) - 1] == distances[-1]
        if fetched >= most or not is_cut_in_a_tie:
            return ids, distances
        fetched = min(2 * fetched, most)


def score(metric, query, rows):
    return rows @ query if metric == "ip" else -((rows - query) ** 2).sum(1)


def search(units, vectors, query, k, options):
    """The best of all units, ranked again by the stored vectors unless `--refine 0`."""
    all_ids, all_scores = [], []
    for first_row, metric, index in units:
        count = min(min(k, index.ntotal) * max(options.refine, 1), index.ntotal)
        ids, distances = candidates(index, query, count, options)
        scores = distances if metric == "ip" else -distances
        if options.refine:
            scores = score(metric, query, vectors.rows(first_row + ids))
        ids, scores = best(first_row + ids, scores, k)
        all_ids.append(ids)
        all_scores.append(scores)
    return best(np.concatenate(all_ids), np.concatenate(all_scores), k)


def open_units(folder):
    """Each unit's index with the pool row that it calls 0."""
    units, first_row = [], 0
    for part in sorted(folder.glob("part-*")):
        card = json.loads((part / "faiss.json").read_text())
        index = faiss.read_index(str(part / "index.faiss"))
        print(f"{part.name}: {card['factory']}, {card['metric']}, {index.ntotal} rows of {index.d}")
        units.append((first_row, card["metric"], index))
        first_row += index.ntotal
    return units or sys.exit(f"no units in {folder}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("index_folder", type=pathlib.Path)
    parser.add_argument("vectors_folder", type=pathlib.Path)
    parser.add_argument("queries", type=pathlib.Path, help="their vectors, as .npy")
    parser.add_argument("hits", type=pathlib.Path, help="a run's hits.jsonl")
    parser.add_argument("-k", type=int, help="hits to compare of each query; default: all that are in the file")
    parser.add_argument("--refine", type=int, default=4, help="the index's `refine`; 0 where a factory is named (default: 4)")
    parser.add_argument("--ef-search", type=int, default=128, help="the index's `ef_search` (default: 128)")
    parser.add_argument("--nprobe", type=int, help="the index's `nprobe`; default: a quarter of the lists")
    options = parser.parse_args()
    units, vectors = open_units(options.index_folder), Vectors(options.vectors_folder)
    rows = sum(index.ntotal for _, _, index in units)
    if rows != len(vectors.numbers):
        sys.exit(f"{rows} rows in the index, but {len(vectors.numbers)} vectors")
    if options.nprobe is None:
        index = faiss.try_extract_index_ivf(units[0][2])
        options.nprobe = -(-index.nlist // 4) if index else 1
    queries = np.load(options.queries).astype(np.float32)
    lines = [json.loads(line) for line in options.hits.read_text().splitlines()]
    same, rounding, worst = 0, 0, 0.0
    for line in lines:
        k = len(line["ids"])
        ids, scores = search(units, vectors, queries[line["query"]], k, options)
        k = min(k, options.k or k)
        wanted = np.array(line["scores"][:k], dtype=np.float32)
        if len(ids) < k:
            print(f"query {line['query']}: {len(ids)} hits, and the run has {k}")
            continue
        off = np.abs(scores[:k] - wanted) / np.maximum(np.abs(wanted), 1e-3)
        worst = max(worst, off.max(initial=0.0))
        if ids[:k].tolist() == line["ids"][:k]:
            same += 1
        elif off.max(initial=0.0) < 1e-4:
            rounding += 1
        else:
            missing = len(set(line["ids"][:k]) - set(ids[:k].tolist()))
            print(f"query {line['query']}: {missing} of the run's {k} hits are not found here")
    print(f"{len(lines)} queries: the same ids for {same}, other ids at the same scores for {rounding}; largest difference of a score {worst:.1e}")
    sys.exit(same + rounding != len(lines))


if __name__ == "__main__":
    main()
