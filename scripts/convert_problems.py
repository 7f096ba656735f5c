#!/usr/bin/env python3
"""Turns published problem sets into the rows that the configurations name: {"id", "problem", "answer"}, one a line.

  scripts/convert_problems.py --input train-*.parquet --answer box:solution --output data/math_train.jsonl
  scripts/convert_problems.py --input dapo.jsonl --without data/math500.jsonl --count 7500 --output data/dapo_math_sub.jsonl

--problem and --answer name keys (dots enter objects; several, by commas: the first that a row has). box:KEY takes the
content of the last \\boxed{} of KEY, hashes:KEY what stands behind ####. Input: .jsonl, .json (an array, or one object a line) or .parquet (needs the Python package
pyarrow).

Repeats are dropped: problems whose letters, digits and signs of operations are the same. So are problems that also occur
in a --without file, for which the same letters and digits are enough. --count keeps that many, chosen by a hash of the problem: the same ones on every machine.
grpo-train reads these formats and nested keys itself: convert where there is something to drop, to choose or to unbox.
"""
import argparse
import hashlib
import json
import re
import sys


def fail(message):
    sys.exit(f"convert_problems: {message}")


def rows_of(path):
    if path.endswith(".parquet"):
        try:
            import pyarrow.parquet
        except ImportError:
            fail(f"{path}: reading Parquet needs pyarrow (python3 -m pip install pyarrow)")
        yield from pyarrow.parquet.read_table(path).to_pylist()
        return
    try:
        with open(path, encoding="utf-8-sig") as file:
            for number, row in enumerate(json_rows(file, path)):
                if not isinstance(row, dict):
                    fail(f"{path}: row {number} is no JSON object")
                yield row
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    except UnicodeDecodeError as error:
        fail(f"{path}: {error}")


def json_rows(file, path):
    if path.endswith(".json"):
        text = file.read()
        if text.lstrip().startswith("["):
            yield from parsed(text, path)
            return
        file = text.split("\n")
    yield from (parsed(line, f"{path}:{number}") for number, line in enumerate(file, 1) if line.strip())


def parsed(text, place):
    try:
        return json.loads(text)
    except ValueError as error:
        fail(f"{place}: {error}")


def last_box(text):
    """The content of the last \\boxed{...}, or None."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth = 0
    for i in range(start + 6, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[start + 7 : i]
    return None


def behind_hashes(text):
    """What stands behind the last ####, as in GSM8K, without the commas of thousands; or None."""
    _, hashes, answer = text.rpartition("####")
    return re.sub(r"(?<=\d),(?=\d{3})", "", answer).strip() or None if hashes else None


def value_at(row, key):
    for part in key.split("."):
        row = row.get(part) if isinstance(row, dict) else None
    return row


def text_of(value):
    """A text, a number, the last user message of a chat, or the elements of a list with commas between them; else None."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = next((m.get("content") for m in reversed(value) if m.get("role") == "user"), None)
        value = value if isinstance(value, str) else None
    elif isinstance(value, list):
        value = ", ".join(map(str, value)) if value else None
    if value is None or isinstance(value, dict) or value != value:  # a NaN of Parquet's is a missing answer
        return None
    return str(value).strip().encode("utf-8", "replace").decode()  # half of a surrogate pair cannot be written


def first_text(row, keys):
    for key in keys:
        value = text_of(value_at(row, key.removeprefix("box:").removeprefix("hashes:")))
        if value and key.startswith("box:"):
            value = last_box(value)
        if value and key.startswith("hashes:"):
            value = behind_hashes(value)
        if value:
            return value
    return None


def letters_and_digits(problem):
    return re.sub(r"[\W_]", "", problem.lower())


def letters_and_signs(problem):
    """x + 1 and x - 1 are two problems. (The signs of LaTeX, as \\cdot, are letters.)"""
    return re.sub(r"[^\w+*/=<>^\u2212-]|_", "", problem.lower())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", nargs="+", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--problem", default="problem,question,prompt")
    parser.add_argument("--answer", default="answer,final_answer,reward_model.ground_truth,box:solution")
    parser.add_argument("--without", nargs="*", default=[], help="evaluation sets whose problems are dropped")
    parser.add_argument("--count", type=int, help="keep so many")
    args = parser.parse_args()

    if args.count is not None and args.count < 1:
        parser.error(f"--count {args.count} keeps nothing")
    held_out = set()
    for path in args.without:
        problems = [first_text(row, ["problem", *args.problem.split(",")]) for row in rows_of(path)]
        if None in problems:
            fail(f"{path}: row {problems.index(None)} has no problem; --problem names its key too")
        held_out |= set(map(letters_and_digits, problems))
    seen, kept = set(), []
    counts = dict.fromkeys(("rows", "unreadable", "repeated", "held out"), 0)
    for row in (row for path in args.input for row in rows_of(path)):
        counts["rows"] += 1
        problem, answer = first_text(row, args.problem.split(",")), first_text(row, args.answer.split(","))
        if not problem or not answer:
            counts["unreadable"] += 1
            continue
        is_held_out, signs = letters_and_digits(problem) in held_out, letters_and_signs(problem)
        if is_held_out or signs in seen:
            counts["held out" if is_held_out else "repeated"] += 1
            continue
        seen.add(signs)
        name = row.get("id")
        kept.append((str(counts["rows"] - 1 if name is None else name), problem, answer))
    if not kept:
        fail(f"no problem with an answer in {', '.join(args.input)}; name their keys with --problem and --answer")
    if args.count is not None:
        if args.count > len(kept):
            fail(f"--count {args.count}, but only {len(kept)} problems are left")
        chosen = set(sorted(kept, key=lambda row: hashlib.sha256(row[1].encode()).digest())[: args.count])
        kept = [row for row in kept if row in chosen]
    with open(args.output, "w", encoding="utf-8") as file:
        for name, problem, answer in kept:
            file.write(json.dumps({"id": name, "problem": problem, "answer": answer}, ensure_ascii=False) + "\n")
    print(f"{args.output}: {len(kept)} problems of {counts['rows']} rows; dropped {counts['unreadable']} without problem or answer, "
          f"{counts['repeated']} repeated, {counts['held out']} held out")


if __name__ == "__main__":
    main()
