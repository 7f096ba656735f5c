#!/usr/bin/env python3
"""What scripts/learn_tasks.sh learns from: problems, graders, configurations, and the table of its runs. Arguments: the program and the source folder."""
import json
import re
import subprocess
import sys
import tempfile
import unittest
from fractions import Fraction
from pathlib import Path

PROGRAM, SOURCE = sys.argv[1], Path(sys.argv[2])
GRADERS = SOURCE / "docs" / "examples" / "rewards"


def problems(task, count, *options):
    command = [sys.executable, SOURCE / "scripts" / "make_problems.py", "--task", task, "--count", str(count), *options]
    return [json.loads(line) for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()]


def asked(row):
    return row["problem"] if isinstance(row["problem"], str) else row["problem"][0]["content"]


def graded(grader, calls):
    text = "".join(json.dumps({"id": number, **call}) + "\n" for number, call in enumerate(calls))
    result = subprocess.run([sys.executable, GRADERS / grader], input=text, capture_output=True, text=True, timeout=120, check=True)
    return [json.loads(line) for line in result.stdout.splitlines()]


class Problems(unittest.TestCase):
    def test_no_held_out_problem_is_trained_on(self):
        for task in ("countdown_short", "countdown_texts", "sentences", "functions"):
            train, heldout = ({asked(row) for row in problems(task, 40, "--split", split)} for split in ("train", "heldout"))
            self.assertFalse(train & heldout, task)
        kinds = [{row["kind"] for row in problems(task, 200)} for task in ("functions", "functions_new")]
        self.assertFalse(kinds[0] & kinds[1])

    def test_worked_countdowns_are_right(self):
        for row in problems("countdown_texts", 300):
            numbers, target = row["problem"].split(":")
            *steps, box = row["answer"].split(" ")
            for step in steps:
                expression, value = step.split("=")
                self.assertEqual(value_of(expression), int(value), row)
            expression = re.fullmatch(r"\\boxed\{(.*)\}", box)[1]
            self.assertEqual(value_of(expression), int(target), row)
            self.assertEqual(sorted(map(int, re.findall(r"\d+", expression))), [int(number) for number in numbers.split()], row)

    def test_functions_pass_their_tests_and_constants_do_not(self):
        rows = list({row["kind"]: row for task in ("functions", "functions_new") for row in problems(task, 300)}.values())
        self.assertEqual(len(rows), 25)
        begun = [row["problem"][1]["content"] for row in rows]
        solved = graded("unit_tests.py", [{"completion": f"{begin} {row['solution']}\n```", "problem": row} for begin, row in zip(begun, rows)])
        self.assertEqual([answer["reward"] for answer in solved], [1.0] * len(rows))
        self.assertTrue(all(0 < answer["metrics"]["seconds"] < 60 for answer in solved))
        for row in problems("functions", 300):
            results = [test["result"] for test in row["tests"]]
            self.assertTrue(any(result != results[0] for result in results), row)

    def test_sentences_are_graded_by_four_shares(self):
        row = {"words": ["old", "river"], "length": 8}
        rewards = {
            "The old river runs past my small house.": 1.0,
            "The Old River runs past my small house.": 1.0,
            "the old river runs past my small house": 0.75,
            "The old river. It runs past my house.": 0.75,
            "The old stream runs past my small house.": 0.875,
            "The old river runs past the small house.": 0.25 * (3 + 7 / 8),  # "the" twice
            "The old river runs.": 0.25 * (3 + 4 / 8),
            "old river " * 20: 0.25 * (1 + 0 + 2 / 40 + 0),
            "": 0.0,
        }
        answers = graded("sentences.py", [{"completion": text, "problem": row} for text in rewards])
        for (text, reward), answer in zip(rewards.items(), answers, strict=True):
            self.assertAlmostEqual(answer["reward"], reward, msg=text)
            self.assertEqual(sorted(answer["metrics"]), ["different", "length", "sentence", "words"])


def value_of(expression):
    return eval(re.sub(r"(\d+)", r"Fraction(\1)", expression))


class Runs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_the_configurations_train(self):
        def train(config, *overrides):
            command = [PROGRAM, "train", "--config", f"configs/tasks/{config}.yaml", "--output", str(self.folder), "trainer.steps=1", "eval.every_steps=1", "eval.samples=1",
                       "rollout.prompts_per_step=8", *overrides]
            result = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=SOURCE)
            self.assertEqual(result.returncode, 0, result.stderr)
            lines = [json.loads(line) for line in (self.folder / config / "metrics.jsonl").read_text().splitlines()] if config != "countdown_teach" else []
            return lines[-1] if lines else {}

        def written(task, count):
            file = self.folder / f"{task}.jsonl"
            file.write_text("".join(json.dumps(row) + "\n" for row in problems(task, count)))
            return file

        train("countdown_teach", f"data.train=[{written('countdown_texts', 16)}]", "eval.every_steps=0")
        taught = self.folder / "countdown_start" / "checkpoints" / "step_00000001" / "model"
        short = written("countdown_short", 8)
        line = train("countdown", f"model.path={taught}", f"data.train=[{short}]", f"eval.data=[{short}]")
        self.assertIn("reward/countdown/mean", line)
        # The other two are SmolLM2's, which no test fetches: with the taught model's weights and no prompt of that template's.
        rows = [{**row, "problem": "1 2 3:4"} for task in ("sentences", "functions") for row in problems(task, 8)]
        for task, term in (("sentences", "constraints"), ("functions", "tests")):
            file = self.folder / f"asked_{task}.jsonl"
            file.write_text("".join(json.dumps(row) + "\n" for row in rows if row["id"].startswith(task)))
            line = train(task, f"model={{path: {taught}, dtype: float32, device: cpu, template: none}}", f"data.train=[{file}]", f"eval.data=[{file}]")
            self.assertIn(f"reward/{term}/mean", line)
            self.assertIn(f"eval/asked_{task}/value", line)

    def test_the_table_has_the_first_and_the_last_evaluation(self):
        def evaluation(right, value):
            return {"eval/set/mean@2": right, "eval/set/ci_low": right - 0.1, "eval/set/ci_high": right + 0.1,
                    "eval/set/value": value, "eval/set/value_ci_low": value - 0.05, "eval/set/value_ci_high": value + 0.05}

        lines = [{"step": 0, **evaluation(0.25, 0.5)}, {"step": 1, "rollouts": 64, "rollouts/total": 64, "time/train": 2.4, "time/cpu": 1.1},
                 {"step": 2, "rollouts": 64, "rollouts/total": 128, "time/train": 2.4, "time/cpu": 1.1, **evaluation(0.75, 0.9)}]
        run = self.folder / "run"
        (run / "eval").mkdir(parents=True)
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        for step, text, value in ((0, "x |\n", 0.5), (2, "", 1.0)):
            row = {"prompt": "<|im_start|>user\nSay y.<|im_end|>\n<|im_start|>assistant\n", "samples": [{"text": text, "verdict": "wrong", "value": value}]}
            (run / "eval" / f"step_{step:08d}_set.jsonl").write_text(json.dumps(row) + "\n")
        result = subprocess.run([sys.executable, SOURCE / "scripts" / "task_table.py", run], capture_output=True, text=True, check=True)
        self.assertIn("| run | 2 | 128 | 5 s | 2 s | set | 25.0 % [15.0, 35.0] → 75.0 % [65.0, 85.0] | 0.500 [0.450, 0.550] → 0.900 [0.850, 0.950] |\n", result.stdout)
        self.assertIn("| run | Say y. | x \\| (0.50) | (nothing) (1.00) |\n", result.stdout)

    def test_a_task_that_is_not_there_is_refused(self):
        result = subprocess.run([SOURCE / "scripts" / "learn_tasks.sh", "--tasks", "chess"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 2)
        self.assertIn("no task is called chess", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
