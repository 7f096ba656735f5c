#!/usr/bin/env python3
"""Writes seeded problems as JSONL, for the quickstart model and for small language models.

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
  countdown_short  "3 7 12:33": the same with rising numbers from 1 to 12, for a model of its own (configs/tasks/countdown_teach.yaml).
  countdown_texts  countdown_short with a worked completion as the answer, "3*7=21 21+12=33 \\boxed{(3*7)+12}", for algorithm.method: sft.
  sentences  "Write one sentence of exactly 8 words that contains the words ...": for the grader docs/examples/rewards/sentences.py; rows
            also have words and length.
  functions  "Write a Python function f(x) that returns ...", where the assistant's turn begins with the def line: for the grader
            docs/examples/rewards/unit_tests.py; rows also have tests, kind, and solution, which no reward reads.
  functions_new  functions of kinds that functions does not have.

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


def countdown_short(rng):
    problem, target, nums, _ = worked_countdown(rng)
    return problem, target, {"nums": nums}


def countdown_texts(rng):
    problem, _, _, worked = worked_countdown(rng)
    return problem, worked


def worked_countdown(rng):
    """Two steps, each with a whole result that is not negative. The numbers rise, so that no problem is another one in another order."""
    while True:
        nums = sorted(rng.randint(1, 12) for _ in range(3))
        first = rng.sample(nums, 2)
        rest = list(nums)
        for number in first:
            rest.remove(number)
        step, made = joined(rng, *first)
        if made is None:
            continue
        operands = [(str(made), f"({step})", made), (str(rest[0]), str(rest[0]), rest[0])]
        rng.shuffle(operands)
        (a, a_whole, a_worth), (b, b_whole, b_worth) = operands
        last, target = joined(rng, a_worth, b_worth)
        if target is None or not 1 <= target <= 99:
            continue
        sign = last[len(a)]
        problem = " ".join(map(str, nums)) + f":{target}"
        return problem, str(target), nums, f"{step}={made} {last}={target} \\boxed{{{a_whole}{sign}{b_whole}}}"


def joined(rng, a, b):
    """a and b joined by an operation, as text and as a number; None where that is negative or no whole number."""
    sign = rng.choice("+-*/")
    if sign == "-" and a < b or sign == "/" and (b == 0 or a % b):
        return "", None
    return f"{a}{sign}{b}", {"+": a + b, "-": a - b, "*": a * b, "/": a // b if b else 0}[sign]


NOUNS = """river garden window letter teacher horse bridge kitchen doctor forest island train market mountain winter summer farmer
picture village candle bottle ship blanket lamp basket stone flower street dog cat bird school road city tree house table boat""".split()
ADJECTIVES = """green old quiet cold bright small happy heavy young warm dark red slow white busy empty gentle long new strong""".split()


def sentences(rng):
    length, words = rng.randint(6, 10), [rng.choice(ADJECTIVES), rng.choice(NOUNS)]
    rng.shuffle(words)
    return f"Write one sentence of exactly {length} words. It must contain the words \"{words[0]}\" and \"{words[1]}\".", "", \
        {"words": words, "length": length}


# Kinds of functions: what f(x) returns in words and as an expression, k, w and c being drawn; and what x is. Lists are short: head has a smaller k.
FUNCTIONS = {
    "add": ("x plus {k}", "x + {k}", "int"),
    "subtract": ("x minus {k}", "x - {k}", "int"),
    "multiply": ("x times {k}", "x * {k}", "int"),
    "square": ("the square of x, plus {k}", "x * x + {k}", "int"),
    "remainder": ("the remainder of x divided by {k}", "x % {k}", "int"),
    "quotient": ("x divided by {k}, rounded down", "x // {k}", "int"),
    "larger": ("the larger one of x and {k}", "max(x, {k})", "int"),
    "greater": ("True if x is greater than {k}, else False", "x > {k}", "int"),
    "divisible": ("True if x is divisible by {k}, else False", "x % {k} == 0", "int"),
    "repeat": ("the string x repeated {k} times", "x * {k}", "str"),
    "first": ("the first {k} characters of the string x", "x[:{k}]", "str"),
    "append": ("the string x with '{w}' added at the end", "x + '{w}'", "str"),
    "count": ("how often the letter '{c}' occurs in the string x", "x.count('{c}')", "str"),
    "length": ("the length of the string x, plus {k}", "len(x) + {k}", "str"),
    "sum": ("the sum of the list x, plus {k}", "sum(x) + {k}", "list"),
    "largest": ("the largest element of the list x, minus {k}", "max(x) - {k}", "list"),
    "head": ("the first {k} elements of the list x", "x[:{k}]", "list"),
}
NEW_FUNCTIONS = {
    "reversed_subtract": ("{k} minus x", "{k} - x", "int"),
    "smaller": ("the smaller one of x and {k}", "min(x, {k})", "int"),
    "less": ("True if x is less than {k}, else False", "x < {k}", "int"),
    "cube": ("the cube of x, plus {k}", "x ** 3 + {k}", "int"),
    "last": ("the last {k} characters of the string x", "x[-{k}:]", "str"),
    "prepend": ("the string x with '{w}' added at the beginning", "'{w}' + x", "str"),
    "smallest": ("the smallest element of the list x, plus {k}", "min(x) + {k}", "list"),
    "size": ("the number of elements of the list x, plus {k}", "len(x) + {k}", "list"),
}


def functions(rng):
    return function_of(rng, FUNCTIONS)


def functions_new(rng):
    return function_of(rng, NEW_FUNCTIONS)


def function_of(rng, kinds):
    kind = rng.choice(list(kinds))
    words, expression, takes = kinds[kind]
    most = {"head": 8, "first": 12, "last": 12, "repeat": 12}.get(kind, 30)
    drawn = {"k": rng.randint(2, most), "w": rng.choice("ing ed er est ly ness ful less able ment tion ism ist ity ous ish".split()), "c": rng.choice("abcdefgh")}
    solution = expression.format(**drawn)
    tests = [{"call": f"f({argument!r})", "result": eval(solution, {"x": argument})} for argument in arguments(rng, takes, drawn["k"])]
    ask = f"Write a Python function f(x) that returns {words.format(**drawn)}."
    problem = [{"role": "user", "content": ask}, {"role": "assistant", "content": "```python\ndef f(x):\n    return"}]
    return problem, "", {"kind": kind, "solution": solution, "tests": tests}


def arguments(rng, takes, k):
    """Five different arguments for f, of which some lie on each side of k and some are multiples of it."""
    if takes == "int":
        return [k * rng.randint(3, 9), k + rng.randint(1, 9) * k + 1, rng.randint(1, k) - 1, k, -rng.randint(1, 20)]
    if takes == "str":
        return ["".join(rng.choice("abcdefgh") for _ in range(length)) for length in rng.sample(range(3, 20), 5)]
    return [[rng.randint(-20, 50) for _ in range(length)] for length in rng.sample(range(3, 13), 5)]


TASKS = {"chain": chain, "addition": addition, "sums": sums, "chain_texts": chain_texts, "countdown": countdown, "countdown_short": countdown_short,
         "countdown_texts": countdown_texts, "sentences": sentences, "functions": functions, "functions_new": functions_new}


def is_heldout(problem):
    """problem: a text, or chat messages, of which the first asks."""
    text = problem if isinstance(problem, str) else problem[0]["content"]
    return hashlib.sha256(text.encode()).digest()[0] % 8 == 0


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
    rows, seen, tries = [], set(), 0  # seen: problems as JSON
    while len(rows) < args.count:
        tries += 1
        if tries > 1000 * args.count + 100000:
            sys.exit(f"make_problems: task {args.task} has only {len(rows)} different problems in split {args.split}")
        problem, answer, *fields = TASKS[args.task](rng)
        if is_heldout(problem) != (args.split == "heldout") or (args.unique and json.dumps(problem) in seen):
            continue
        seen.add(json.dumps(problem))
        rows.append({"id": f"{args.task}-{args.split}-{len(rows)}", "problem": problem, "answer": answer, **dict(*fields)})

    out = sys.stdout if args.output == "-" else open(args.output, "w", encoding="utf-8")
    with out:
        for row in rows:
            out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
