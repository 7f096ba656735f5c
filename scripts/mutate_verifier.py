#!/usr/bin/env python3
"""Metamorphic tests of `grpo verify`: changed answers must be rejected, other spellings of one answer accepted.

  scripts/mutate_verifier.py [GOLDS.jsonl ...] [--generate N] [--violations out.jsonl]

Gold answers come from files (rows with "answer" or "gold") and from a generator of answers of every kind. Each is changed
(a flipped sign, another digit, a dropped factor, a box that is denied, ...) and spelled differently. Whether a changed answer
really is another one is decided by an evaluator of its own (scripts/mutation), by values at random points in balls of
python-flint where that is installed and in doubles where it is not; what it cannot decide is counted apart and is no violation.
Deterministic for one seed. Exit 1 on violations.
"""
import argparse
import collections
import itertools
import json
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(Path(__file__).resolve().parent))
from mutation import latex, mutations, numbers, responses, spellings  # noqa: E402
from mutation.compare import compare_texts  # noqa: E402
from mutation.evaluate import SCALARS  # noqa: E402
from mutation.generate import Generator  # noqa: E402
from mutation.numbers import EQUAL, UNEQUAL, UNKNOWN  # noqa: E402

BATCH = 100_000  # pairs handed to one run of the program
KINDS = {"num": "number", "neg": "number", "div": "fraction", "group": "tuple or interval", "setop": "union", "rel": "relation", "unit": "quantity", "seq": "quantity"}


WRAPPED = re.compile(r"\\boxed|####|^\([A-J]\)\s*\S|where|[Tt]he answer")


def body_of(gold):
    """The answer without the dollar signs round it, or None for a sentence or a choice with its text."""
    text = gold.strip()
    text = text[:-1] if text.endswith("$.") else text
    if len(text) > 1 and text[0] == text[-1] == "$":
        text = text[1:-1].strip()
    return None if "$" in text.replace("\\$", "") or WRAPPED.search(text) else text


def kind_of(gold):
    if mutations.choice_letter(gold):
        return "choice"
    try:
        node = latex.parse(gold)
    except (latex.Unread, IndexError, RecursionError):
        return "unread"
    return KINDS.get(node[0], node[0] if node[0] in ("list", "set", "matrix", "ratio", "words") else "expression")


LONE_ZERO = re.compile(r"(?<![\d.])0(?![\d.])")


def is_whole(gold):
    """Neither a number nor an expression, so that nothing computed from it can be the same answer; 0 thousand is 0, though, a
    choice may have any text beside it, and a ratio is a quotient: 1 - 30:60 is 30:60."""
    try:
        kinds = {node[0] for node in latex.readings(gold)}
    except (latex.Unread, IndexError, RecursionError):
        return False
    return not kinds & (SCALARS | {"seq", "ratio"}) and not LONE_ZERO.search(gold) and not mutations.choice_letter(gold)


def boxed(text):
    return "So the answer is $\\boxed{" + text.strip().strip("$") + "}$."


# What --only may name besides the mutations and spellings of the tables.
OTHERS = {"denied_box", "doubted_answer", "box_in_formula", "other_answer"}


class Cases:
    """All pairs of one gold answer. K of each mutation are drawn; K = 0 takes all."""

    def __init__(self, seed, per_mutation, only):
        self.seed, self.per_mutation, self.only = seed, per_mutation, only

    def draw(self, name, gold, found):
        if self.only and name not in self.only:
            return []
        found = list(dict.fromkeys(found))
        if self.per_mutation and len(found) > self.per_mutation:
            found = random.Random(f"{self.seed} {name} {gold}").sample(found, self.per_mutation)
        return found

    def changed(self, gold, body, whole):
        for name, mutate in mutations.DECIDED.items():
            for text in self.draw(name, gold, (t for t in mutate(gold) if t != gold)):
                yield {"mutation": name, "gold": gold, "pred": boxed(text), "text": text} | ({"unless_equal": UNEQUAL} if name == "value_word" and whole else {})
        for name, mutate in mutations.CLAIMED.items():
            for text in self.draw(name, gold, mutate(gold)):
                yield {"mutation": name, "gold": gold, "pred": boxed(text), "truth": UNEQUAL}
        yield from self.surrounded(gold, body, whole)

    def surrounded(self, gold, body, whole):
        for name, templates in (("denied_box", responses.DENIALS), ("doubted_answer", responses.DOUBTS)):
            for pred in self.draw(name, gold, (t.replace("%s", body) for t in templates)):
                yield {"mutation": name, "gold": gold, "pred": pred, "truth": UNEQUAL}
        contexts = (pair for pair in responses.CONTEXTS if not (whole and "!" in pair[0]))  # behind a set it only exclaims
        for pred, text in self.draw("box_in_formula", gold, ((t.replace("%s", body), e.replace("%s", body)) for t, e in contexts)):
            yield {"mutation": "box_in_formula", "gold": gold, "pred": pred, "text": text} | ({"unless_equal": UNEQUAL} if whole else {})

    def others(self, gold, alike):
        """Answers of other rows, of the same kind; y = 2x + 1 and f(x) = 2x + 1 are one."""
        picked = random.Random(f"{self.seed} {gold}").sample(alike, min(len(alike), 5))
        for text in self.draw("other_answer", gold, (t for t in picked if t.split("=")[-1] != gold.split("=")[-1])):
            yield {"mutation": "other_answer", "gold": gold, "pred": boxed(body_of(text)), "text": text}

    def respelled(self, gold, body):
        for name, spell in spellings.BOXED.items() if kind_of(gold) != "unread" else ():
            for text in self.draw(name, gold, (t for t in spell(gold) if t != gold)):
                yield {"mutation": name, "gold": gold, "pred": boxed(text), "truth": EQUAL}
        for name, template in spellings.RESPONSES.items():
            for pred in self.draw(name, gold, [template.replace("%s", body.rstrip(". "))]):
                yield {"mutation": name, "gold": gold, "pred": pred, "truth": EQUAL}


def lines_of(path):
    """Lines end at a newline only; str.splitlines would also break at the separators of Unicode inside a text."""
    return Path(path).read_text(encoding="utf-8").rstrip("\n").split("\n")


def judge(grpo, rows):
    """Adds the program's verdict to each row."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.jsonl"), Path(folder, "out.jsonl")
        source.write_text("".join(json.dumps({"gold": row["gold"], "pred": row["pred"]}) + "\n" for row in rows), encoding="utf-8")
        result = subprocess.run([grpo, "verify", "--input", source, "--output", target], capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit("grpo verify failed: " + result.stderr)
        for row, line in zip(rows, lines_of(target)):
            answer = json.loads(line)
            row |= {"correct": answer["correct"], "verdict": answer["verdict"]}


def read_golds(paths):
    golds = {}
    for path in paths:
        for number, line in enumerate(lines_of(path), 1):
            if not line.strip():
                continue
            row = json.loads(line)
            if "answer" not in row and "gold" not in row:
                sys.exit(f'{path}:{number}: no "answer" and no "gold"')
            golds.setdefault(str(row.get("answer", row.get("gold"))), None)
    return golds


def gather(options):
    """The distinct gold answers with their kinds, without those that stand in a sentence."""
    golds = {gold: kind_of(gold) for gold in read_golds(options.golds) if body_of(gold) is not None}
    if options.limit and len(golds) > options.limit:
        kept = random.Random(options.seed).sample(sorted(golds), options.limit)
        golds = {gold: golds[gold] for gold in kept}
    for kind, gold in Generator(random.Random(options.seed)).answers(options.generate):
        golds.setdefault(gold, kind)
    return golds


def usable(golds, grpo):
    """A gold answer that is not accepted from a box as it stands is a violation, and says nothing about its changes."""
    rows = [{"gold": gold, "pred": boxed(gold)} for gold in golds]
    judge(grpo, rows)
    refused = [{"kind": golds[row["gold"]], "mutation": "as_it_stands", "expected": EQUAL} | row for row in rows if not row["correct"]]
    return {row["gold"]: golds[row["gold"]] for row in rows if row["correct"]}, refused


def truth_of(row):
    if "truth" in row:
        return row["truth"]
    found = compare_texts(row["gold"], row["text"])
    return row.get("unless_equal", found) if found == UNKNOWN else found


def sampled_pairs(count, seed):
    """`count` decided pairs of the generator's answers, for another judge: rows with gold, pred, expect and kind."""
    rng = random.Random(seed)
    cases, rows = Cases(seed, 1, set()), []
    for _, gold in Generator(rng).answers(max(count // 10, 70)):
        body = body_of(gold)
        rows += [*cases.changed(gold, body, is_whole(gold)), *cases.respelled(gold, body)]
    rng.shuffle(rows)
    decided = ((row, truth_of(row)) for row in rows)
    known = ({"gold": row["gold"], "pred": row["pred"], "expect": truth == EQUAL, "kind": row["mutation"]} for row, truth in decided if truth != UNKNOWN)
    return list(itertools.islice(known, count))


class Tally:
    def __init__(self):
        self.changed = collections.defaultdict(collections.Counter)
        self.respelled = collections.defaultdict(collections.Counter)
        self.kinds = collections.defaultdict(collections.Counter)
        self.violations, self.undecided = [], []

    def add(self, row, kind):
        truth = row["expected"] = truth_of(row)
        if row.get("truth") == EQUAL:
            self.respelled[row["mutation"]]["over-budget"] += row["verdict"] == "over-budget"
            self.count(self.respelled[row["mutation"]], kind, "respelled", row, violated=not row["correct"] and row["verdict"] != "over-budget")
            return
        self.changed[row["mutation"]][truth] += 1
        self.count(self.changed[row["mutation"]], kind, "changed", row, violated=truth == UNEQUAL and row["correct"])
        if truth == UNKNOWN and row["correct"]:
            self.changed[row["mutation"]]["undecided"] += 1
            self.undecided.append(row)

    def count(self, counter, kind, side, row, violated):
        counter["tried"] += 1
        counter["violations"] += violated
        self.kinds[kind][side] += 1
        self.kinds[kind][side + " violations"] += violated
        if violated:
            self.violations.append({"kind": kind} | {key: row[key] for key in ("mutation", "gold", "pred", "expected", "verdict")})

    def tables(self):
        lines = ["| changed | tried | really unequal | accepted though unequal | equal after all | undecided | of these accepted |", "|---|---:|---:|---:|---:|---:|---:|"]
        lines += [f"| {name} | {c['tried']} | {c[UNEQUAL]} | {c['violations']} | {c[EQUAL]} | {c[UNKNOWN]} | {c['undecided']} |" for name, c in self.changed.items()]
        lines += ["", "| spelled differently | tried | rejected | over budget |", "|---|---:|---:|---:|"]
        lines += [f"| {name} | {c['tried']} | {c['violations']} | {c['over-budget']} |" for name, c in self.respelled.items()]
        lines += ["", "| kind | changed | accepted though unequal | spelled differently | rejected |", "|---|---:|---:|---:|---:|"]
        lines += [f"| {kind} | {c['changed']} | {c['changed violations']} | {c['respelled']} | {c['respelled violations']} |" for kind, c in sorted(self.kinds.items())]
        return "\n".join(lines)


def run(golds, options):
    tally, rows, kinds = Tally(), [], []
    cases = Cases(options.seed, options.per_mutation, set(options.only))

    def flush():
        judge(options.grpo, rows)
        for row, kind in zip(rows, kinds):
            tally.add(row, kind)
        rows.clear()
        kinds.clear()

    alike = collections.defaultdict(list)
    for gold, kind in golds.items():
        alike[kind].append(gold)
    for gold, kind in golds.items():
        body = body_of(gold)
        for row in (*cases.changed(gold, body, is_whole(gold)), *cases.others(gold, alike[kind]), *cases.respelled(gold, body)):
            rows.append(row)
            kinds.append(kind)
        if len(rows) >= BATCH:
            flush()
    flush()
    return tally


def write_rows(path, rows):
    Path(path).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("golds", nargs="*", help='JSONL files with "answer" or "gold"')
    parser.add_argument("--grpo", default=ROOT / "build" / "bin" / "grpo", help="the program (default build/bin/grpo)")
    parser.add_argument("--generate", type=int, default=1000, help="answers of the generator besides (default 1000)")
    parser.add_argument("--limit", type=int, default=0, help="distinct gold answers taken from the files, drawn by the seed (0: all)")
    parser.add_argument("--per-mutation", type=int, default=4, help="changes of one kind per gold answer (0: all; default 4)")
    parser.add_argument("--only", nargs="*", default=[], help="mutations by name, as the table has them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--violations", help="write the violations as JSONL")
    parser.add_argument("--undecided", help="write what was accepted and could not be decided, for a reader")
    options = parser.parse_args()
    unknown = set(options.only) - {*mutations.DECIDED, *mutations.CLAIMED, *spellings.BOXED, *spellings.RESPONSES, *OTHERS}
    if unknown:
        parser.error(f"--only {' '.join(sorted(unknown))}: no mutation is called so")

    golds, refused = usable(gather(options), options.grpo)
    tally = run(golds, options)
    tally.violations += refused
    print(tally.tables())
    print(f"\n{len(golds)} distinct gold answers, {len(refused)} more are not accepted as they stand")
    print(f"{len(tally.violations)} violations, {len(tally.undecided)} accepted and undecided; arithmetic: "
          + ("balls of python-flint" if numbers.flint else "doubles"))
    if options.violations:
        write_rows(options.violations, tally.violations)
    if options.undecided:
        write_rows(options.undecided, tally.undecided)
    for row in tally.violations[:20]:
        print(f"{row['mutation']}: {row['verdict']}: gold {row['gold']!r}, response {row['pred']!r}")
    sys.exit(1 if tally.violations else 0)


if __name__ == "__main__":
    main()
