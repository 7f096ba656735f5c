#!/usr/bin/env python3
"""Writes seeded arithmetic problems as JSONL, for the quickstart model and for small language models.

  scripts/make_problems.py --task chain --seed 1 --count 4096 --output train.jsonl
  scripts/make_problems.py --task chain --seed 1 --count 256 --split heldout --output heldout.jsonl

Tasks:
  chain     "3+9+0+4+7=" with five digits: the prompt form the quickstart model was made for.
  addition  "What is 3 + 4? Answer with just the number.": one-digit addition in words, for instruction-tuned models.
  sums      "What is 47 + 38? Answer with just the number.": the same with two-digit numbers, 8,100 different ones.
  chain_texts  chain with a written completion as the answer, for algorithm.method: sft. A quarter works the sum out
            ("12 12 16 \\boxed{23}"); the others answer at once ("\\boxed{23}"), 70 % of them wrong on purpose by 1 to 9.
  countdown  "Use each of the numbers 25, 5, 3 once ... to make 60": three or four numbers from 1 to 25 and a target from 1 to 100 that
            they can make, for rewards of type countdown; rows also have nums.

A problem belongs to the held-out split when a hash of its text says so (1 in 8), so training and held-out problems never
overlap, whatever the seeds. Rows: id, problem, answer, and what a task adds.
"""
import argparse
import hashlib
import json
import random
import sys
from fractions import Fraction


def chain(rng):
    digits = [rng.randint(0, 9) for _ in range(5)]
    return "+".join(map(str, digits)) + "=", str(sum(digits))


def addition(rng):
    a, b = rng.randint(0, 9), rng.randint(0, 9)
    return f"What is {a} + {b}? Answer with just the number.", str(a + b)


def sums(rng):
    a, b = rng.randint(10, 99), rng.randint(10, 99)
    return f"What is {a} + {b}? Answer with just the number.", str(a + b)


def chain_texts(rng):
    problem, answer = chain(rng)
    digits = [int(digit) for digit in problem[:-1].split("+")]
    if rng.random() < 0.25:
        worked = " ".join(f"{sum(digits[:n]):02d}" for n in range(2, len(digits)))
        return problem, f"{worked} \\boxed{{{int(answer):02d}}}"
    guess = int(answer)
    if rng.random() < 0.70:
        guess = max(0, guess + rng.choice([-1, 1]) * rng.randint(1, 9))
    return problem, f"\\boxed{{{guess:02d}}}"


def countdown(rng):
    nums = [rng.randint(1, 25) for _ in range(rng.choice([3, 4]))]
    target = None
    while target is None or target.denominator != 1 or not 1 <= target <= 100:
        target = worth_of_some_expression(rng, [Fraction(n) for n in nums])
    listed = ", ".join(map(str, nums))
    return f"Use each of the numbers {listed} once, with + - * / and brackets, to make {target}. End with the expression in \\boxed{{}}.", \
        str(target), {"nums": nums}


def worth_of_some_expression(rng, values):
    """Joins two of the values by an operation until one is left; None where that divides by zero."""
    values = list(values)
    while len(values) > 1:
        rng.shuffle(values)
        a, b, operation = values.pop(), values.pop(), rng.choice("+-*/")
        if operation == "/" and b == 0:
            return None
        values.append(a + b if operation == "+" else a - b if operation == "-" else a * b if operation == "*" else a / b)
    return values[0]


TASKS = {"chain": chain, "addition": addition, "sums": sums, "chain_texts": chain_texts, "countdown": countdown}


def is_heldout(problem):
    return hashlib.sha256(problem.encode()).digest()[0] % 8 == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--split", choices=["train", "heldout"], default="train")
    parser.add_argument("--unique", action="store_true", help="no problem twice (fails if the task has too few)")
    parser.add_argument("--output", default="-")
    args = parser.parse_args()

    rng = random.Random(f"{args.task}/{args.split}/{args.seed}")
    rows, seen, tries = [], set(), 0
    while len(rows) < args.count:
        tries += 1
        if tries > 1000 * args.count + 100000:
            sys.exit(f"make_problems: task {args.task} has only {len(rows)} different problems in split {args.split}")
        problem, answer, *fields = TASKS[args.task](rng)
        if is_heldout(problem) != (args.split == "heldout") or (args.unique and problem in seen):
            continue
        seen.add(problem)
        rows.append({"id": f"{args.task}-{args.split}-{len(rows)}", "problem": problem, "answer": answer, **dict(*fields)})

    out = sys.stdout if args.output == "-" else open(args.output, "w", encoding="utf-8")
    with out:
        for row in rows:
            out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
