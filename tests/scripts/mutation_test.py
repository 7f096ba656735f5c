#!/usr/bin/env python3
"""scripts/mutate_verifier.py and the evaluator it trusts; then the verifier itself, on a share of the changes that fits an ordinary
test run. Arguments: the program and the source folder."""
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM, SOURCE = sys.argv[1], Path(sys.argv[2])
SCRIPT = SOURCE / "scripts" / "mutate_verifier.py"
sys.path.insert(0, str(SOURCE / "scripts"))
import bench_verifier  # noqa: E402
import mutate_verifier  # noqa: E402
from mutation import mutations, numbers, spellings  # noqa: E402
from mutation.compare import compare_texts  # noqa: E402
from mutation.generate import Generator  # noqa: E402
from mutation.numbers import EQUAL, UNEQUAL, UNKNOWN  # noqa: E402

# A program that calls every pair the same.
FAKE = """#!/usr/bin/env python3
import json, sys
options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
with open(options["--input"], encoding="utf-8") as source, open(options["--output"], "w", encoding="utf-8") as target:
    for line in source:
        target.write(json.dumps(json.loads(line) | {"correct": VERDICT, "verdict": "right" if VERDICT else "wrong"}) + "\\n")
"""
EQUAL_PAIRS = [
    ("\\frac12", "0.5"), ("\\sqrt{2+\\sqrt3}", "\\frac{\\sqrt6+\\sqrt2}{2}"), ("\\sin 3x", "3\\sin x-4\\sin^3 x"), ("1\\frac45", "1.8"),
    ("x<3", "(-\\infty,3)"), ("\\{1,2\\}", "\\{2,1,1\\}"), ("1,2", "2,1"), ("y=2x", "2y=4x"), ("x<2", "-3x>-6"), ("64\\%", "0.64"), ("64\\%", "64"),
    ("2^{n-1}", "\\frac{2^n}{2}"), ("x=5", "5"), ("\\pm 2", "\\mp 2"), ("3:4", "\\frac34"), ("30^\\circ", "\\frac{\\pi}{6}"), ("12{,}345", "12345"),
    ("(-\\infty,1)\\cup[1,\\infty)", "(-\\infty,\\infty)"), ("7\\text{ tenths}", "0.7"), ("\\binom{7}{3}", "35"), ("e^{i\\pi}", "-1"), ("13_5", "8"),
    ("3A_{16}", "58"), ("3a_{16}", "3A_{16}")]
UNEQUAL_PAIRS = [
    ("\\frac12", "0.499999"), ("x^2+1", "x^2-1"), ("(1,2)", "(2,1)"), ("[1,2]", "[1,2)"), ("5\\text{ cm}", "-5\\text{ cm}"), ("1,1,2", "1,2,2"),
    ("x=5", "x=-5"), ("x\\le3", "x<3"), ("ab", "Ab"), ("ad-bc", "AD-BC"), ("F=kx", "F=-kx"), ("5", "5\\text{ hundredths}"), ("\\pm 2", "2"),
    ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix}2\\\\1\\end{pmatrix}"), ("\\text{slope}=2", "\\text{slope}=-2"), ("10!", "10"),
    ("\\lfloor x\\rfloor", "\\lceil x\\rceil"), ("(1,3)", "(1,2)\\cup(2,3)"), ("\\log 8", "\\log 9"), ("2x", "2y"), ("13_5", "13_6"),
    ("\\text{Tuesday}", "-\\text{Tuesday}"), ("20\\text{ square units}", "-20\\text{ square units}"), ("parabola", "-parabola"),
    ("3A_{16}", "3\\cdot A_{16}"), ("2a_{11}", "2A_{11}"), ("A, D", "A, A, D")]
# What only a policy could settle, and what the evaluator does not read, it leaves alone.
UNKNOWN_PAIRS = [("\\text{Tuesday}", "\\text{Friday}"), ("5\\text{ cm}", "5"), ("(1,2,3)", "[1,2,3]"), ("\\int_0^1 f", "\\int_1^2 f"), ("(-1)^n", "(-1)^{-n}"), ("x^2=4", "2")]


def run(*args, program=PROGRAM):
    return subprocess.run([sys.executable, SCRIPT, "--grpo", program, *map(str, args)], capture_output=True, text=True)


class Evaluator(unittest.TestCase):
    def check_all(self):
        for expected, pairs in ((EQUAL, EQUAL_PAIRS), (UNEQUAL, UNEQUAL_PAIRS), (UNKNOWN, UNKNOWN_PAIRS)):
            for gold, other in pairs:
                with self.subTest(gold=gold, other=other):
                    self.assertEqual(compare_texts(gold, other), expected)
                    self.assertEqual(compare_texts(other, gold), expected)

    def test_equal_unequal_and_undecided_pairs_are_told_apart(self):
        self.check_all()

    def test_doubles_decide_the_same_where_flint_is_missing(self):
        found, numbers.flint = numbers.flint, None
        try:
            self.check_all()
        finally:
            numbers.flint = found

    def test_every_generated_answer_is_read_and_equals_itself_respaced(self):
        for kind, gold in Generator(random.Random(3)).answers(350):
            self.assertNotEqual(mutate_verifier.kind_of(gold), "unread", f"{kind}: {gold}")
            for text in spellings.wide(gold):
                if kind not in ("choice", "words", "quantity"):
                    self.assertEqual(compare_texts(gold, text), EQUAL, f"{gold} as {text}")


class Script(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.violations = os.path.join(self.temporary.name, "violations.jsonl")

    def fake(self, verdict):
        path = os.path.join(self.temporary.name, "grpo")
        Path(path).write_text(FAKE.replace("VERDICT", str(verdict)))
        os.chmod(path, 0o755)
        return path

    def found(self):
        return [json.loads(line) for line in mutate_verifier.lines_of(self.violations)]

    def test_a_program_that_accepts_everything_is_caught_by_every_mutation(self):
        result = run("--generate", 350, "--per-mutation", 1, "--violations", self.violations, program=self.fake(True))
        self.assertEqual(result.returncode, 1, result.stderr)
        caught = {row["mutation"] for row in self.found()}
        self.assertEqual(set(mutations.DECIDED) | set(mutations.CLAIMED) | {"denied_box", "doubted_answer", "box_in_formula", "other_answer"}, caught | {"drop_words"})
        self.assertTrue(all(row["expected"] == UNEQUAL for row in self.found()))

    def test_a_program_that_rejects_everything_is_caught(self):
        result = run("--generate", 40, "--violations", self.violations, program=self.fake(False))
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(len(self.found()), 40)

    def test_the_same_seed_makes_the_same_pairs(self):
        golds = os.path.join(self.temporary.name, "golds.jsonl")
        Path(golds).write_text('{"answer": "x^2+1"}\n{"gold": "3\\u2028"}\n{"answer": 7}\n', encoding="utf-8")
        outputs = [run(golds, "--generate", 60, "--seed", seed, program=self.fake(True)).stdout for seed in (5, 5, 6)]
        self.assertEqual(outputs[0], outputs[1])
        self.assertNotEqual(outputs[0], outputs[2])

    def test_a_mutation_that_there_is_not_is_named(self):
        result = run("--only", "denied_box", "denied_bx")
        self.assertEqual(result.returncode, 2)
        self.assertIn("--only denied_bx: no mutation is called so", result.stderr)

    def test_a_file_without_answers_is_named(self):
        path = os.path.join(self.temporary.name, "golds.jsonl")
        Path(path).write_text('{"answer": "1"}\n{"text": "2"}\n')
        self.assertIn(path + ':2: no "answer" and no "gold"', run(path).stderr)


class SecondJudge(unittest.TestCase):
    def test_sampled_pairs_are_decided_and_depend_on_the_seed_alone(self):
        rows = mutate_verifier.sampled_pairs(200, seed=4)
        self.assertEqual(len(rows), 200)
        self.assertEqual({row["expect"] for row in rows}, {True, False})
        self.assertEqual(rows, mutate_verifier.sampled_pairs(200, seed=4))
        self.assertNotEqual(rows, mutate_verifier.sampled_pairs(200, seed=5))

    def test_disagreements_are_counted_by_who_is_right(self):
        rows = [{"gold": str(i), "pred": "", "expect": i < 2} for i in range(4)]
        ours = [{"correct": c, "verdict": "right"} for c in (True, False, False, True)]
        peer = [{"correct": c} for c in (True, True, True, False)]
        found = bench_verifier.disagreements("some", rows, ours, peer)
        self.assertEqual([row["gold"] for row in found], ["1", "2", "3"])
        self.assertIn("| some | 3 | 1 | 2 | 1 | 2 |", bench_verifier.disagreement_table(found))

    def test_debatable_rows_are_left_out_of_a_table(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "rows.jsonl")
            path.write_text('{"gold": "1", "pred": "1", "expect": "right"}\n{"gold": "1", "pred": "2", "expect": false, "debatable": true}\n')
            self.assertEqual([row["expect"] for row in bench_verifier.read_rows(path)], [True])


class Verifier(unittest.TestCase):
    def test_no_changed_answer_is_accepted_and_every_other_spelling_is(self):
        result = run(SOURCE / "tests" / "data" / "verifier_cases.jsonl", "--limit", 500, "--generate", 700, "--per-mutation", 2)
        self.assertEqual(result.returncode, 0, result.stdout[-6000:] + result.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
