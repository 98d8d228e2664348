#!/usr/bin/env python3
"""Writes the made-up pool, task and starting model of manifests/quickstart.yaml.

Nothing here is real data, and the related rows are planted: of 20 templates, the four whose data
set begins with `sentiment_` ask what the target task asks, in other words and about partly other
things; a fifth, `reviews_topic`, looks much like the task and asks something else. Retrieval finds
related rows because we put them there, and training on them helps because we made sure that it
can. README.md beside this file says what the demonstration shows and what it does not.

    python3 make_pool.py [--seed 1] [--out data]

Python 3.9 or newer, standard library only; a seed gives the same bytes with every version.
"""

import argparse
import json
import os
import random

ROWS_PER_TEMPLATE = 300
QUERIES = 200
EVALUATION = 400

# Words of judgement. The task and the pool share most of them; each has some to itself.
SHARED_GOOD = "superb lovely delightful wonderful charming excellent pleasant splendid brilliant fine".split()
SHARED_BAD = "dreadful awful horrid terrible dull poor nasty boring shoddy grim".split()
POOL_GOOD = SHARED_GOOD + "marvellous cheerful glorious perfect".split()
POOL_BAD = SHARED_BAD + "dismal dreary rotten hopeless".split()
TASK_GOOD = SHARED_GOOD + "magnificent stunning".split()
TASK_BAD = SHARED_BAD + "lousy ghastly".split()

# What is judged, by topic. The task knows three of the topics, the pool all five.
THINGS = {
    "food": "soup bread cake stew salad coffee".split(),
    "film": "plot actor scene ending script cast".split(),
    "music": "song band drummer chorus sound singer".split(),
    "travel": "room bed view pool lobby breakfast".split(),
    "shop": "counter service price parcel staff label".split(),
}
TASK_THINGS = THINGS["food"] + THINGS["film"] + THINGS["shop"]
POOL_THINGS = THINGS["film"] + THINGS["music"] + THINGS["travel"] + THINGS["food"][:3]

# Everything else.
KINDS = {
    "fish": "trout salmon cod herring tuna perch eel carp".split(),
    "bird": "robin crow heron swan owl finch gull wren".split(),
    "tool": "hammer saw chisel pliers drill file wrench rake".split(),
    "fruit": "apple pear plum cherry fig melon grape quince".split(),
    "metal": "iron copper tin zinc gold silver lead nickel".split(),
    "tree": "oak birch elm maple willow pine ash cedar".split(),
}
OBJECTS = [word for words in KINDS.values() for word in words]
PLACES = {
    "beach": "sand waves shells tide".split(),
    "kitchen": "oven pan kettle sink".split(),
    "farm": "barn tractor hay plough".split(),
    "school": "desk chalk lesson bell".split(),
}
COLOURS = "red blue green yellow brown black white grey".split()
PEOPLE = "anna ben clara david emma felix".split()
NUMBERS = [str(n) for n in range(100)]
COUNTS = "one two three four five six seven".split()


class Choice:
    """Random choices made of `random()` alone: the one generator that no Python version changes."""

    def __init__(self, seed):
        self.random = random.Random(seed).random

    def below(self, n):
        return int(self.random() * n)

    def of(self, items):
        return items[self.below(len(items))]

    def some(self, items, n):
        """n different items in random order."""
        return self.shuffled(items)[:n]

    def shuffled(self, items):
        items = list(items)
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]
        return items

    def judgement(self, good, bad):
        """Whether the row is positive, and two words that say so."""
        positive = self.below(2) == 0
        return positive, self.some(good if positive else bad, 2)


# The target task. Each function below returns input, target and the answers to choose from;
# without these the answer is free.


def task_review(choice):
    positive, (first, second) = choice.judgement(TASK_GOOD, TASK_BAD)
    a, b = choice.some(TASK_THINGS, 2)
    person = choice.of(PEOPLE)
    text = f"{person} wrote : the {a} was {first} and the {b} was {second} . verdict ?"
    return text, "good" if positive else "bad", ["good", "bad"]


# Templates of the pool that are related to the task.


def sentiment_opinion(choice):
    positive, (first, second) = choice.judgement(POOL_GOOD, POOL_BAD)
    a, b = choice.some(POOL_THINGS, 2)
    text = f"what a {first} {a} , with such a {second} {b} ! is that good or bad ?"
    return text, "good" if positive else "bad", ["good", "bad"]


def sentiment_letter(choice):
    positive, (first, second) = choice.judgement(POOL_GOOD, POOL_BAD)
    a, b = choice.some(POOL_THINGS, 2)
    text = f"dear {choice.of(PEOPLE)} , the {a} was {first} and the {b} was {second} . how was our day ?"
    return text, "good" if positive else "bad", ["good", "bad"]


def sentiment_stars(choice):
    positive, (first, second) = choice.judgement(POOL_GOOD, POOL_BAD)
    a, b = choice.some(POOL_THINGS, 2)
    text = f"the {a} : {first} , the {b} : {second} . is this rating positive or negative ?"
    return text, "positive" if positive else "negative", ["positive", "negative"]


def sentiment_advice(choice):
    positive, (first, second) = choice.judgement(POOL_GOOD, POOL_BAD)
    a, b = choice.some(POOL_THINGS, 2)
    text = f"the {a} was {first} and the {b} was {second} . shall we go again ?"
    return text, "yes" if positive else "no", ["yes", "no"]


# A template that looks related and is not: a person, things to judge, a word of judgement, but the
# question is what it is about.


def reviews_topic(choice):
    topic = choice.of(list(THINGS))
    a, b, c = choice.some(THINGS[topic], 3)
    judgement = choice.of(choice.of([POOL_GOOD, POOL_BAD]))
    text = f"{choice.of(PEOPLE)} told us of the {a} , the {b} and a {judgement} {c} . about what ?"
    return text, topic, list(THINGS)


# Templates that have nothing to do with the task.


def stories_place(choice):
    place = choice.of(list(PLACES))
    a, b = choice.some(PLACES[place], 2)
    person, colour = choice.of(PEOPLE), choice.of(COLOURS)
    text = f"{person} saw a {colour} {choice.of(OBJECTS)} , then the {a} and the {b} . where was it ?"
    return text, place, list(PLACES)


def numbers_larger(choice):
    a, b = choice.some(NUMBERS, 2)
    return f"which is larger , {a} or {b} ?", max(a, b, key=int), [a, b]


def numbers_compare(choice):
    a, b = choice.some(NUMBERS, 2)
    return f"is {a} more than {b} ?", "yes" if int(a) > int(b) else "no", ["yes", "no"]


def numbers_parity(choice):
    a, b, c = choice.some(NUMBERS, 3)
    text = f"take {a} and {b} and {c} . is the last one even or odd ?"
    return text, "odd" if int(c) % 2 else "even", ["even", "odd"]


def numbers_sort(choice):
    numbers = choice.some(NUMBERS, 3)
    text = f"sort from small to large : {' '.join(numbers)}"
    return text, " ".join(sorted(numbers, key=int)), None


def numbers_next(choice):
    start, step = choice.below(80), 1 + choice.below(5)
    a, b, c, d = (str(start + i * step) for i in range(4))
    return f"{a} , {b} , {c} , and then ?", d, None


def words_copy(choice):
    words = " ".join(choice.some(OBJECTS, 3))
    return f"repeat : {words}", words, None


def words_reverse(choice):
    words = choice.some(OBJECTS, 3)
    return f"say backwards : {' '.join(words)}", " ".join(reversed(words)), None


def words_first(choice):
    words = choice.some(OBJECTS, 4)
    return f"the first word of {' '.join(words)} ?", words[0], words


def words_last(choice):
    words = choice.some(OBJECTS, 4)
    return f"the last word of {' '.join(words)} ?", words[-1], words


def words_count(choice):
    n = 1 + choice.below(len(COUNTS))
    return f"how many words : {' '.join(choice.some(OBJECTS, n))} ?", COUNTS[n - 1], COUNTS


def words_member(choice):
    words = choice.some(OBJECTS, 4)
    wanted = choice.of(words) if choice.below(2) == 0 else choice.of(OBJECTS)
    text = f"is {wanted} among {' '.join(words)} ?"
    return text, "yes" if wanted in words else "no", ["yes", "no"]


def words_odd(choice):
    kind, other = choice.some(list(KINDS), 2)
    odd = choice.of(KINDS[other])
    words = choice.shuffled(choice.some(KINDS[kind], 3) + [odd])
    return f"which does not belong : {' '.join(words)} ?", odd, words


def kinds_of(choice):
    kind, other = choice.some(list(KINDS), 2)
    a, b = choice.shuffled([kind, other])
    return f"is a {choice.of(KINDS[kind])} a {a} or a {b} ?", kind, [a, b]


def colours_of(choice):
    (a, b), (c, d) = choice.some(OBJECTS, 2), choice.some(COLOURS, 2)
    asked, answer = choice.of([(a, c), (b, d)])
    text = f"{choice.of(PEOPLE)} has a {c} {a} and a {d} {b} . what colour is the {asked} ?"
    return text, answer, [c, d]


# Data set and template of the rows, and what makes them.
POOL = [
    ("sentiment_opinion", "is_that_good_or_bad", sentiment_opinion),
    ("sentiment_letter", "how_was_our_day", sentiment_letter),
    ("sentiment_stars", "positive_or_negative", sentiment_stars),
    ("sentiment_advice", "shall_we_go_again", sentiment_advice),
    ("reviews_topic", "about_what", reviews_topic),
    ("stories_place", "where_was_it", stories_place),
    ("numbers_larger", "which_is_larger", numbers_larger),
    ("numbers_compare", "is_it_more", numbers_compare),
    ("numbers_parity", "even_or_odd", numbers_parity),
    ("numbers_sort", "small_to_large", numbers_sort),
    ("numbers_next", "and_then", numbers_next),
    ("words_copy", "repeat", words_copy),
    ("words_reverse", "say_backwards", words_reverse),
    ("words_first", "the_first_word", words_first),
    ("words_last", "the_last_word", words_last),
    ("words_count", "how_many_words", words_count),
    ("words_member", "is_it_among", words_member),
    ("words_odd", "which_does_not_belong", words_odd),
    ("kinds_of", "this_or_that", kinds_of),
    ("colours_of", "what_colour", colours_of),
]


def rows(choice, n, dataset, template, make, seen):
    """n rows whose inputs are not in `seen`, which grows by them."""
    made = []
    while len(made) < n:
        text, target, choices = make(choice)
        if text in seen:
            continue
        seen.add(text)
        row = {"input": text, "target": target}
        if choices:
            row["answer_choices"] = choices
        row["dataset"], row["template"] = dataset, template
        made.append(row)
    return made


def words_of(examples):
    """Every word of the examples, sorted."""
    texts = [text for e in examples for text in [e["input"], e["target"], *e.get("answer_choices", [])]]
    return sorted({word for text in texts for word in text.split()})


def tokenizer(words):
    """A word-level tokenizer in the form of Hugging Face tokenizers."""
    special = ["<pad>", "</s>", "<unk>"]
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    second = {"Sequence": {"id": "B", "type_id": 0}}
    end = {"SpecialToken": {"id": "</s>", "type_id": 0}}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": token, **added} for i, token in enumerate(special)],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [text, end],
            "pair": [text, end, second, end],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}},
        },
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {word: i for i, word in enumerate(special + words)},
            "unk_token": "<unk>",
        },
    }


def config(vocabulary):
    """A T5 of the first version: ReLU, and one matrix for embeddings and output."""
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "vocab_size": vocabulary,
        "d_model": 64,
        "d_kv": 16,
        "d_ff": 192,
        "num_heads": 4,
        "num_layers": 2,
        "num_decoder_layers": 2,
        "feed_forward_proj": "relu",
        "tie_word_embeddings": True,
        "scale_decoder_outputs": True,
        "dropout_rate": 0.0,
        "initializer_factor": 1.0,
        "layer_norm_epsilon": 1e-6,
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128,
        "is_encoder_decoder": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    }


def parameters(c):
    """The model's number of parameters."""
    attention = 4 * c["d_model"] * c["num_heads"] * c["d_kv"]
    feed_forward = 2 * c["d_model"] * c["d_ff"]
    encoder = c["num_layers"] * (attention + feed_forward + 2 * c["d_model"])
    decoder = c["num_decoder_layers"] * (2 * attention + feed_forward + 3 * c["d_model"])
    biases = 2 * c["relative_attention_num_buckets"] * c["num_heads"]
    return c["vocab_size"] * c["d_model"] + encoder + decoder + biases + 2 * c["d_model"]


def write(out, name, lines):
    path = os.path.join(out, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(line + "\n" for line in lines)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seed", type=int, default=1, help="of every random choice (default 1)")
    parser.add_argument("--out", default=os.path.join(here, "data"), metavar="DIR", help="default: data beside this file")
    args = parser.parse_args()

    choice, seen = Choice(args.seed), set()
    pool = [row for entry in POOL for row in rows(choice, ROWS_PER_TEMPLATE, *entry, seen)]
    pool = choice.shuffled(pool)
    task = rows(choice, QUERIES + EVALUATION, "target_review", "verdict", task_review, seen)
    queries, evaluation = task[:QUERIES], task[QUERIES:]
    words = words_of(pool + task)
    model = config(len(words) + 3)

    # A query is an input and nothing else: there is no label that anything could peek at. The empty
    # target is there because the reader `p3` skips rows without one.
    unlabelled = [{"input": row["input"]} for row in queries]
    write(args.out, "pool.jsonl", map(json.dumps, pool))
    write(args.out, "task/queries.jsonl", map(json.dumps, unlabelled))
    write(args.out, "task/evaluation.jsonl", map(json.dumps, evaluation))
    write(args.out, "model/tokenizer.json", [json.dumps(tokenizer(words), indent=1)])
    write(args.out, "model/config.json", [json.dumps(model, indent=2)])

    related = sum(row["dataset"].startswith("sentiment_") for row in pool)
    good = sum(row["target"] == "good" for row in evaluation)
    longest = max(len(row["input"].split()) + 1 for row in pool + task)
    print(f"pool: {len(pool)} examples in {len(POOL)} templates, {related} related to the task")
    print(f"task: {len(queries)} queries, {len(evaluation)} to evaluate, {good} of them good")
    print(f"model: {len(words) + 3} words, {parameters(model)} parameters, at most {longest} tokens a text")
    print(f"written to {args.out}")


if __name__ == "__main__":
    main()
