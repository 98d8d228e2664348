"""What `cargo bench -p deft-bm25 -- FOLDER` measures, of bm25s (numba) and of tantivy, each through its Python package:

    pip install bm25s numba PyStemmer tantivy
    python peers.py FOLDER [--threads 2] [--k 500] [--repeat 5] [--positions]

bm25s cuts words as it does by itself, within the time; and gets the terms that `--terms` of the benchmark left in the folder, which
is the same work as here but for the analysis. tantivy keeps counts but no positions, as here, unless --positions is given.
"""

import argparse
import json
import os
import pathlib
import re
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

arguments = argparse.ArgumentParser()
arguments.add_argument("folder", type=pathlib.Path)
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--k", type=int, default=500)
arguments.add_argument("--repeat", type=int, default=5)
arguments.add_argument("--positions", action="store_true")
arguments = arguments.parse_args()
os.environ["NUMBA_NUM_THREADS"] = str(arguments.threads)

import bm25s  # noqa: E402 (numba reads the number of threads when it is loaded)
import Stemmer  # noqa: E402
import tantivy  # noqa: E402


def lines(name):
    return (arguments.folder / name).read_text(encoding="utf-8").split("\n")[:-1]


TEXTS = [json.loads(line)["contents"] for line in lines("docs.jsonl")]
QUERIES = [line.split("\t", 1)[1] for line in lines("queries.tsv")]
STEMMER = Stemmer.Stemmer("porter")


def timed(what, count, work):
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    normal = count * arguments.threads / cpu
    print(f"{what}: {wall:.3f} s, processor {cpu:.2f} s; {count / wall:.0f}/s by clock, {normal:.0f} by processor", flush=True)
    return result


def of_bm25s(what, texts, queries):
    def index():
        found = bm25s.BM25(k1=0.9, b=0.4, method="lucene", backend="numba")
        found.index(texts(), show_progress=False)
        return found

    index = timed(f"{what}, index", len(TEXTS), index)
    search = lambda: index.retrieve(queries(), k=arguments.k, show_progress=False, n_threads=arguments.threads)
    search()  # numba compiles
    for _ in range(arguments.repeat):
        timed(f"{what}, search", len(QUERIES), search)


def of_tantivy():
    schema = tantivy.SchemaBuilder()
    schema.add_text_field("text", tokenizer_name="en_stem", index_option="position" if arguments.positions else "freq")
    schema.add_integer_field("row", fast=True)
    schema = schema.build()

    def index():
        index = tantivy.Index(schema, path=tempfile.mkdtemp(dir=folder))
        writer = index.writer(400_000_000, arguments.threads)
        for row, text in enumerate(TEXTS):
            writer.add_document(tantivy.Document(text=text, row=row))
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        return index

    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.repeat):
            found = timed("tantivy, index", len(TEXTS), index)
        searcher = found.searcher()

        def one(text):
            query, _ = found.parse_query_lenient(re.sub(r"[^\w\s]|_", " ", text).lower(), ["text"])
            return searcher.search(query, arguments.k).hits

        def search():
            with ThreadPoolExecutor(arguments.threads) as threads:
                return list(threads.map(one, QUERIES))

        timed("tantivy, search", len(QUERIES), search)


def own(texts):
    return lambda: bm25s.tokenize(texts, stopwords="en", stemmer=STEMMER, show_progress=False, return_ids=False)


of_bm25s("bm25s", own(TEXTS), own(QUERIES))
if (arguments.folder / "docs.terms.jsonl").exists():
    texts, queries = ([json.loads(line) for line in lines(name)] for name in ("docs.terms.jsonl", "queries.terms.jsonl"))
    of_bm25s("bm25s with our terms", lambda: texts, lambda: queries)
of_tantivy()
