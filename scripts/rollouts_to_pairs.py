#!/usr/bin/env python3
"""Turns the rollout files of a run into pairs for algorithm.method: dpo: {"id", "prompt", "chosen", "rejected"}, one a line.

  scripts/rollouts_to_pairs.py runs/start/rollouts/*.jsonl --problems data/train.jsonl --output data/pairs.jsonl

Of each group whose rewards differ, the completion with the largest reward is set against the one with the smallest, the first of their
kind; completions that were cut off, or whose reward is not known, are left out. --problems names the files that the run was trained on (JSON
Lines, in their order; --prompt-key as data.prompt_key), from which each pair takes its problem as it was written. Without it, prompt is the
text that the template made of the problem: model.template: none with data.allow_special_tokens: true takes it as it is.
"""
import argparse
import json
import sys
from pathlib import Path


def fail(message):
    sys.exit(f"{Path(sys.argv[0]).stem}: {message}")


def rows_of(path):
    number = 0
    try:
        with open(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield json.loads(line)
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    except ValueError as error:  # what is no UTF-8 fails before its line is counted
        fail(f"{path}, {'behind line' if isinstance(error, UnicodeDecodeError) else 'line'} {number}: {error}")


def value_at(row, key):
    """A key as it is, else its dots enter objects, as data.prompt_key does."""
    if key in row:
        return row[key]
    head, dot, rest = key.partition(".")
    return value_at(row[head], rest) if dot and isinstance(row.get(head), dict) else None


def groups_of(path):
    """Rows of one prompt follow one another, and their samples are numbered from 0."""
    group = []
    for row in rows_of(path):
        if group and (row["prompt_id"] != group[0]["prompt_id"] or row["sample"] <= group[-1]["sample"]):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def pair_of(group):
    whole = [row for row in group if row["finish_reason"] != "length" and "reward_failure" not in row]
    if not whole:
        return None
    best, worst = max(whole, key=lambda row: row["reward"]), min(whole, key=lambda row: row["reward"])
    return (best, worst) if best["reward"] > worst["reward"] else None


def problems_of(paths, key):
    """The problem of each id: its `id` field, else (also where that is null) its number in its file, as the rollout files name it."""
    problems = {}
    for path in paths:
        for number, row in enumerate(rows_of(path)):
            name, problem = row.get("id"), value_at(row, key)
            name = str(number if name is None else name)
            if problem is None:
                fail(f"{path}: problem {name} has no {key}; --prompt-key names the key")
            if problems.setdefault(name, problem) != problem:
                fail(f"two problems have the id {name}; give one file, or ids of their own")
    return problems


def parser_of(description, **problems):
    """The arguments of a script that turns rollout files into something to learn; **problems: how --problems is asked for."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rollouts", nargs="+")
    parser.add_argument("--problems", nargs="+", **problems)
    parser.add_argument("--prompt-key", default="problem")
    parser.add_argument("--output", required=True)
    return parser


def main():
    options = parser_of(__doc__, default=[]).parse_args()
    problems = problems_of(options.problems, options.prompt_key)
    groups = pairs = 0
    with open(options.output, "w", encoding="utf-8") as output:
        for path in options.rollouts:
            for group in groups_of(path):
                groups += 1
                pair = pair_of(group)
                if pair is None:
                    continue
                best, worst = pair
                if problems and best["prompt_id"] not in problems:
                    fail(f"{path}: no problem has the id {best['prompt_id']}")
                prompt = problems[best["prompt_id"]] if problems else best["prompt"]
                output.write(json.dumps({"id": f"{best['step']}-{groups}", "prompt": prompt, "chosen": best["text"], "rejected": worst["text"]}) + "\n")
                pairs += 1
    if pairs == 0:
        fail(f"none of {groups} groups has a better and a worse completion")
    print(f"{pairs} pairs of {groups} groups in {options.output}")


if __name__ == "__main__":
    main()
