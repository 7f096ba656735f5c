#!/usr/bin/env python3
"""Rewards that other programs give, in whole runs of the embedded model. Arguments: the program and the source folder."""
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import unittest
from fractions import Fraction
from pathlib import Path

from support import MODEL, PROGRAM, InFolder, SOURCE, TRAIN, comparable, metrics

EXAMPLES = SOURCE / "docs" / "examples" / "rewards"

# Judges as the verifier does that demands a box. What else a test wants comes as arguments: WHAT FOLDER.
GRADER = r'''
import json, os, re, sys, time
what, folder = sys.argv[1:]
open(f"{folder}/pid.{os.getpid()}", "w").close()
for line in sys.stdin:
    call = json.loads(line)
    boxes = re.findall(r"\\boxed\{(\d+)\}", call["completion"])
    reward = float(bool(boxes) and int(boxes[-1]) == int(call["gold"]))
    if what == "level":
        reward = call["problem"]["level"] + 0.25 * call["sample"]
    if what.startswith("slow"):
        with open(f"{folder}/asked", "a") as out:
            print(time.time(), file=out)
        time.sleep(float(what.split()[1]))
    if what == "die" and call["problem"]["id"] == "chain-train-1":
        sys.exit("I cannot judge " + call["problem"]["id"])
    print(json.dumps({"id": call["id"], "reward": reward, "metrics": {"boxes": len(boxes), "ones": 1}}), flush=True)
'''


class Rewards(InFolder):
    def setUp(self):
        super().setUp()
        self.grader = self.write("grader.py", GRADER)
        rows = (SOURCE / "configs" / "quickstart" / "train.jsonl").read_text().splitlines()[:64]
        self.write_rows("train.jsonl", [{**json.loads(row), "level": number} for number, row in enumerate(rows)])
        self.write_rows("heldout.jsonl", [json.loads(row) for row in rows[:16]])

    def term(self, what, **keys):
        command = [sys.executable, self.grader, what, str(self.folder)]
        return json.dumps({"type": "command", "name": "grader", "command": command, "timeout_s": 60, **keys})

    def command(self, name, terms, *overrides, ranks=1):
        return [TRAIN, "--config", "quickstart_2grpo", "--nproc", str(ranks), f"run.output={self.folder}", f"run.name={name}",
                f"data.train=[{self.folder}/train.jsonl]", "data.shuffle=false", f"reward.terms=[{terms}]", "reward.verifier.fallbacks=[]",
                "trainer.steps=3", "rollout.prompts_per_step=16", f"eval.data=[{self.folder}/heldout.jsonl]", "eval.every_steps=3",
                "eval.samples=2", *overrides]

    def run_program(self, *args, **keys):
        return subprocess.run(self.command(*args, **keys), capture_output=True, text=True, timeout=240, cwd=SOURCE)

    def train(self, *args, **keys):
        result = self.run_program(*args, **keys)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.log = result.stderr
        return metrics(self.folder / args[0])

    def rollouts(self, name, step=1):
        file = self.folder / name / "rollouts" / f"step_{step:08d}.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()]

    def graders(self):
        return [int(file.name.split(".")[1]) for file in self.folder.glob("pid.*")]

    def assert_gone(self, pids):
        end = time.monotonic() + 20
        alive = list(pids)
        while alive and time.monotonic() < end:
            alive = [pid for pid in alive if Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"]
            time.sleep(0.05)
        self.assertEqual(alive, [])

    def test_a_signal_ends_the_wait_for_scores(self):
        command = self.command("stopped", self.term("slow 600", timeout_s=600), "eval.every_steps=0")
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=SOURCE)
        asked = self.folder / "asked"  # each of 32 completions takes 10 minutes
        while not (asked.exists() and asked.read_text()):
            self.assertIsNone(process.poll())
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 3, messages)
        self.assertIn("step 1 is dropped", messages)
        self.assertEqual(len(asked.read_text().splitlines()), 1)
        self.assert_gone(self.graders())

    def test_a_grader_that_says_the_same_makes_the_same_run(self):
        math = self.train("math", "{type: math, name: grader}")
        graded = self.train("graded", self.term("same"))
        figures = [{name: value for name, value in line.items() if not name.startswith(("reward/grader/", "verdict/", "eval/"))} for line in comparable(graded)]
        self.assertEqual(figures, [{name: line[name] for name in figure} for figure, line in zip(figures, comparable(math), strict=True)])
        self.assertEqual([row["reward"] for row in self.rollouts("graded")], [row["reward"] for row in self.rollouts("math")])
        self.assertIn(1.0, [row["reward"] for row in self.rollouts("graded")])
        for ours, theirs in zip(graded, math, strict=True):  # evaluations, whose judge is the grader
            self.assertEqual({n: v for n, v in ours.items() if "/mean@" in n or "/pass@" in n}, {n: v for n, v in theirs.items() if "/mean@" in n or "/pass@" in n})
            self.assertEqual(ours.get("eval/heldout/value"), ours.get("eval/heldout/mean@2"))
            self.assertNotIn("eval/heldout/value", theirs)
        steps = [line for line in graded if "loss" in line]
        for line in steps:
            self.assertEqual(line["reward/grader/ones"], 1.0)
            self.assertGreater(line["reward/grader/boxes"], 0.0)
            self.assertEqual(line["reward/grader/mean"], line["reward/mean"])
        self.assert_gone(self.graders())
        two = self.train("two", self.term("same", workers=2), "eval.every_steps=0", ranks=2)
        for ours, theirs in zip(two, steps, strict=True):
            for name in ("reward/mean", "reward/grader/boxes", "accuracy", "groups/live"):
                self.assertAlmostEqual(ours[name], theirs[name], places=6, msg=name)
        self.assertEqual(len(self.graders()), 1 + 2 * 2)  # two of each rank
        self.assert_gone(self.graders())

    def test_a_grader_sees_the_whole_row(self):
        steps = self.train("level", self.term("level", right_at=5), "trainer.steps=1", "eval.every_steps=0")
        rows = self.rollouts("level")
        self.assertEqual([row["reward"] for row in rows], [prompt + 0.25 * sample for prompt in range(16) for sample in range(2)])
        self.assertNotIn("fields", rows[0])
        self.assertEqual(steps[0]["accuracy"], 11 / 16)

    def test_evaluations_have_the_mean_of_what_a_grader_gave(self):
        rows = f"eval.data=[{self.folder}/train.jsonl]"
        for ranks in (1, 2):  # 64 rows whose levels are 0 to 63, samples 0 and 1 of each; the weight does not count
            name = f"ranks{ranks}"
            for line in self.train(name, self.term("level", right_at=5, weight=3), "trainer.steps=1", "eval.every_steps=1", rows, ranks=ranks):
                self.assertAlmostEqual(line["eval/train/value"], 31.5 + 0.125)
                self.assertLess(line["eval/train/value_ci_low"], line["eval/train/value"])
                self.assertGreater(line["eval/train/value_ci_high"], line["eval/train/value"])
                self.assertEqual(line["eval/train/mean@2"], 59 / 64)
            answers = [json.loads(line) for line in (self.folder / name / "eval" / "step_00000001_train.jsonl").read_text().splitlines()]
            self.assertEqual([sample["value"] for sample in answers[7]["samples"]], [7.0, 7.25])

    def test_eval_asks_the_terms_that_it_is_given(self):
        def evaluated(*terms):
            result = subprocess.run([PROGRAM, "eval", "--model", MODEL, "--template", "none", "--data", self.path("train.jsonl"), "--samples", "2", "--max-new-tokens", "20",
                                     "--threads", "1", "--output", self.path("eval"), *terms], capture_output=True, text=True, timeout=240)
            self.assertEqual(result.returncode, 0, result.stderr)
            return json.loads((self.folder / "eval" / "eval.json").read_text()), result.stdout

        by_math, text = evaluated()
        self.assertNotIn("value", by_math["sets"][0])
        self.assertNotIn("value", text)
        graded, text = evaluated("--terms", f"[{self.term('level', right_at=5)}]")
        self.assertEqual(graded["sampled_tokens"], 0)  # the answers are those that math judged
        self.assertEqual([graded["sets"][0][key] for key in ("value", "mean")], [31.625, 59 / 64])
        self.assertIn("value       31.6250  [", text)
        second = self.term("level", right_at=60, name="second")
        named, _ = evaluated("--judge", "second", "--terms", f"[{{type: math}}, {second}]")
        self.assertEqual([named["sets"][0][key] for key in ("value", "mean")], [31.625, 4 / 64])

    def judged(self, name, sleep_s, *overrides):
        """The step's metrics and the seconds in which its completions were judged."""
        step = self.train(name, self.term(f"slow {sleep_s}"), "trainer.steps=1", "eval.every_steps=0", "rollout.max_sequences=4", *overrides)[0]
        asked = [float(line) for line in (self.folder / "asked").read_text().split()]
        (self.folder / "asked").unlink()
        self.assertEqual(len(asked), step["rollouts"])
        return step, asked[-1] - asked[0]

    def test_sampling_and_judging_go_on_at_the_same_time(self):
        step, judged_s = self.judged("slow_grader", 0.15)  # 4.8 s for what is sampled in a fraction of that
        self.assertLess(step["time/rollout"], judged_s / 2)
        step, judged_s = self.judged("slow_sampler", 0.0, "rollout.group_size=8", "rollout.prompts_per_step=512")
        # Judging begins with the first completions, so what is left of it after sampling is shorter by most of the sampling's time.
        self.assertGreater(judged_s - step["time/reward"], step["time/rollout"] / 2)

    def test_a_failure_ends_the_run_or_leaves_a_completion_out(self):
        result = self.run_program("stops", self.term("die", retries=1), "eval.every_steps=0")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertRegex(result.stderr, "reward.terms: grader: problem chain-train-1, sample [01]: the program ended with exit code 1; the last lines of its "
                                        "stderr:\n +I cannot judge chain-train-1 .asked 2 times.")
        self.assertEqual(metrics(self.folder / "stops"), [])
        steps = self.train("goes_on", self.term("die", retries=1, on_failure="leave_out"), "trainer.steps=1", "eval.every_steps=0")
        self.assertEqual(steps[0]["reward/failed"], 2)
        failed = [row for row in self.rollouts("goes_on") if "reward_failure" in row]
        self.assertEqual({row["prompt_id"] for row in failed}, {"chain-train-1"})
        self.assertIn("I cannot judge", failed[0]["reward_failure"])
        self.assertIn("grader: I cannot judge chain-train-1", self.log)
        self.assertIn("the rewards of 2 of 32 completions are not known, and these are left out; of prompt chain-train-1, grader: sample 0", self.log)

    def test_a_run_goes_on_with_more_workers_as_if_it_had_not_ended(self):
        whole = self.train("whole", self.term("same"), "trainer.steps=4", "eval.every_steps=0")
        self.train("parts", self.term("same"), "trainer.steps=2", "eval.every_steps=0")
        parts = self.train("parts", self.term("same", workers=2, timeout_s=30, retries=0, on_failure="leave_out"), "trainer.steps=4", "eval.every_steps=0")
        self.assertEqual(comparable(parts), comparable(whole))
        result = self.run_program("parts", self.term("level"), "trainer.steps=5", "eval.every_steps=0")
        self.assertEqual(result.returncode, 2)
        self.assertIn("reward.terms.0.command", result.stderr)

    def test_graders_die_with_the_trainer(self):
        run = subprocess.Popen(self.command("killed", self.term("slow 0.02"), "trainer.steps=1000"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=SOURCE)
        end = time.monotonic() + 120
        while not (self.folder / "asked").exists() and time.monotonic() < end:
            time.sleep(0.05)
        run.send_signal(signal.SIGKILL)
        run.wait()
        self.assertEqual(len(self.graders()), 1)
        self.assert_gone(self.graders())

    def test_a_program_that_is_missing_is_wrong_usage(self):
        result = self.run_program("none", "{type: command, command: [./no-grader]}")
        self.assertEqual(result.returncode, 2)
        self.assertIn("reward.terms: command: ./no-grader: No such file or directory", result.stderr)


    def test_countdown_reads_numbers_and_target_of_the_row(self):
        rows = [{"problem": f"{a}+{b}=", "nums": [a, b], "target": a + b} for a in range(4) for b in range(4)]
        self.write_rows("train.jsonl", rows)
        keys = ("data.answer_key=target", "trainer.steps=1", "eval.every_steps=0")
        steps = self.train("countdown", "{type: countdown}", *keys)
        self.assertEqual(steps[0]["reward/countdown/mean"], steps[0]["accuracy"])
        self.assertTrue(all(row["gold"] == str(sum(map(int, row["prompt"][:-1].split("+")))) for row in self.rollouts("countdown")))
        self.write_rows("train.jsonl", [*rows, {"problem": "9+9=", "target": 18}])
        result = self.run_program("lacks", "{type: countdown}", *keys)
        self.assertEqual(result.returncode, 2)
        self.assertIn("data.train: no completion of 1 of 17 problems can be judged; problem 16: countdown: the row has no nums", result.stderr)
        self.write_rows("train.jsonl", [*rows, {"problem": "9+9=", "nums": [9, 9], "target": [18, "eighteen"]}])
        result = self.run_program("words", "{type: countdown}", *keys)
        self.assertEqual(result.returncode, 2)
        self.assertIn('problem 16: countdown: the gold answer "eighteen" is no target', result.stderr)


def worths(values):
    """All that can be made of these values, each used once."""
    if len(values) == 1:
        return {values[0]}
    found = set()
    for i, j in itertools.permutations(range(len(values)), 2):
        rest = [value for k, value in enumerate(values) if k not in (i, j)]
        a, b = values[i], values[j]
        for value in (a + b, a - b, a * b, *([a / b] if b else [])):
            found |= worths([*rest, value])
    return found


class Examples(InFolder):
    def test_countdown_problems_can_be_solved(self):
        result = subprocess.run([sys.executable, SOURCE / "scripts" / "make_problems.py", "--task", "countdown", "--count", "12"], capture_output=True, text=True, check=True)
        rows = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual(len(rows), 12)
        for row in rows:
            self.assertIn(int(row["answer"]), worths([Fraction(number) for number in row["nums"]]), row)

    def answers(self, command, *calls):
        text = "".join(json.dumps({"id": number, **call}) + "\n" for number, call in enumerate(calls))
        result = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, cwd=self.folder)
        self.assertEqual(result.returncode, 0, result.stderr)
        answers = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual([answer["id"] for answer in answers], list(range(len(calls))))
        return [answer["reward"] for answer in answers]

    def test_the_grader_in_python(self):
        call = {"gold": "20"}
        self.assertEqual(self.answers([EXAMPLES / "grader.py"], {**call, "completion": "it is 20"}, {**call, "completion": "15"}, {**call, "completion": "none"},
                                      {**call, "completion": "-70"}), [1.0, 0.75, 0.0, 0.0])
        lines = (EXAMPLES / "grader.py").read_text().splitlines()
        self.assertLessEqual(len(lines), 20)

    @unittest.skipUnless(shutil.which("jq"), "jq is not installed")
    def test_the_grader_in_shell(self):
        call = {"gold": "20"}
        self.assertEqual(self.answers([EXAMPLES / "grader.sh"], {**call, "completion": "so\n20\n"}, {**call, "completion": "20 or 21"}), [1, 0])

    def unit_tests(self, *programs, tests, path=os.environ["PATH"], python=sys.executable):
        calls = [{"completion": program, "problem": {"tests": tests}} for program in programs]
        return self.answers(["env", f"PATH={path}", python, EXAMPLES / "unit_tests.py", "2"], *calls)

    def test_the_grader_that_runs_programs(self):
        tests = [{"call": "add(1, 2)", "result": 3}, {"call": "add([1], [2])", "result": [1, 2]}, {"call": "add('a', 'b')", "result": "ab"}, {"call": "add(2, 2)", "result": 4}]
        right = "Here it is:\n```python\ndef add(a, b):\n    print('noise')\n    return a + b\n```\n"
        programs = {
            right: 1.0,
            "def add(a, b):\n    return 3": 0.25,
            "def add(a, b):\n    raise ValueError": 0.0,
            "def add(a, b": 0.0,
            "import os\nos._exit(0)": 0.0,
            "def add(a, b):\n    return a + b if a != 2 else exit()": 0.75,
            "class Equal:\n    def __eq__(self, other): return True\ndef add(a, b):\n    return Equal()": 0.0,
            "import os, signal\nos.kill(os.getppid(), signal.SIGCONT)\ndef add(a, b):\n    return len('x' * (3 << 30))": 0.0,
            "import os\nfor fd in range(3, 20):\n    try:\n        while os.write(fd, b'{\"result\": 3}\\n' * 1000): pass\n    except OSError: pass": 0.25,  # as the one that returns 3
        }
        no_box = self.folder / "bin"
        no_box.mkdir()
        for path in {os.environ["PATH"], str(no_box)}:
            self.assertEqual(self.unit_tests(*programs, tests=tests, path=path), list(programs.values()))

    def test_the_program_is_the_last_block_in_whatever_words_it_is_announced(self):
        add = "def add(a, b): return a + b\n"
        programs = [f"```\n1 +\n```\n{fence}\n{add}```" for fence in ("```python3", "```Python", "``` py", "```python\r", "```")]
        self.assertEqual(self.unit_tests(*programs, tests=[{"call": "add(1, 2)", "result": 3}]), [1.0] * len(programs))

    def test_a_grader_in_a_virtual_environment_has_its_python(self):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.folder / "venv"], check=True)
        self.assertEqual(self.unit_tests("", tests=[{"call": "1", "result": 1}], python=self.folder / "venv" / "bin" / "python"), [1.0])

    def test_a_problem_without_tests_ends_the_grader(self):
        self.assertRaisesRegex(AssertionError, "a problem without tests", self.unit_tests, "", tests=[])

    def test_true_is_not_the_number_one(self):
        def shares(result):
            return self.unit_tests("def f(x): return x == 1", "def f(x): return [x == 1]", "def f(x): return x", tests=[{"call": "f(1)", "result": result}])
        self.assertEqual(shares(1), [0.0, 0.0, 1.0])
        self.assertEqual(shares(1.0), [0.0, 0.0, 1.0])
        self.assertEqual(shares(True), [1.0, 0.0, 0.0])
        self.assertEqual(shares([True]), [0.0, 1.0, 0.0])
        self.assertEqual(shares([1]), [0.0, 0.0, 0.0])

    def test_a_program_that_never_ends_or_forks_is_ended(self):
        start = time.monotonic()
        marker = f"{os.getpid()}.5"
        program = f"import subprocess\nsubprocess.Popen(['sleep', '{marker}'])\nwhile True: pass"
        self.assertEqual(self.unit_tests(program, tests=[{"call": "1", "result": 1}]), [0.0])
        self.assertLess(time.monotonic() - start, 30)
        def left():
            return [file for file in Path("/proc").glob("[0-9]*/cmdline") if marker.encode() in read(file).split(b"\0")]

        while left() and time.monotonic() - start < 60:  # one that was killed is there until a busy machine gets round to it
            time.sleep(0.05)
        self.assertEqual(left(), [])

    @unittest.skipUnless(shutil.which("bwrap") and subprocess.run(["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"], capture_output=True).returncode == 0,
                         "bwrap is not installed, or not allowed here")
    def test_a_program_in_bwrap_sees_neither_files_nor_network(self):
        secret = self.write("secret", "x")
        tests = [{"call": f"__import__('os').path.exists({secret!r})", "result": False}, {"call": "__import__('os').path.exists('/etc/passwd')", "result": False},
                 {"call": "len(__import__('socket').if_nameindex())", "result": 1}, {"call": "open('mine', 'w').write('a')", "result": 1}]
        self.assertEqual(self.unit_tests("", tests=tests), [1.0])


def read(file):
    try:
        return file.read_bytes()
    except OSError:
        return b""


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
