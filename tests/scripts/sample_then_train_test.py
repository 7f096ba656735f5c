#!/usr/bin/env python3
"""scripts/sample_then_train.py, rollouts_to_examples.py and rollouts_to_pairs.py, with a program that stands for grpo-train. Argument: the source folder.
That whole runs learn, and go on where they were, tests/app/sft_test.py shows with the program itself."""
import json
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

SOURCE = Path(sys.argv[1])
# Says how it was called. The run "sampled" writes a right and a wrong completion; with "slow" it waits for a signal and takes a second to save.
PROGRAM = r"""#!{python}
import json, pathlib, signal, sys, time
keys = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
run = pathlib.Path(json.loads(keys["run.output"]), keys["run.name"])
run.mkdir(parents=True, exist_ok=True)
(run / "keys.json").write_text(json.dumps(keys))
if "slow" in keys:
    def save(*_):
        time.sleep(1)
        (run / "saved").touch()
        sys.exit(3)
    signal.signal(signal.SIGINT, save)
    signal.signal(signal.SIGTERM, save)
    (run / "ready").touch()
    time.sleep(60)
if run.name == "sampled":
    (run / "rollouts").mkdir(exist_ok=True)
    row = dict(step=1, prompt_id="0", sample=0, finish_reason="stop", text="2", verdict="right", reward=1.0)
    rows = [row, dict(row, sample=1, text="3", verdict="wrong", reward=0.0)]
    (run / "rollouts" / "step_00000001.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
else:
    (run / "checkpoints" / "step_00000007" / "model").mkdir(parents=True, exist_ok=True)
"""


class SampleThenTrain(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "a: b, [c] #d"
        self.folder.mkdir()
        self.program = self.write("grpo-train", PROGRAM.replace("{python}", sys.executable))
        self.program.chmod(0o755)
        self.problems = self.write("problems.jsonl", '{"problem": "1 + 1?", "answer": "2"}\n')
        self.output = self.folder / "run"

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def start(self, method, *args, **more):
        command = [sys.executable, SOURCE / "scripts" / "sample_then_train.py", method, "--rollouts", "4", "--problems", self.problems, "--output", self.output,
                   "--program", self.program, *args]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder, **more)

    def end(self, *args):
        process = self.start(*args)
        said = process.communicate(timeout=60)[1]
        return process.returncode, said

    def keys(self, *parts):
        return json.loads(self.output.joinpath(*parts, "keys.json").read_text())

    def test_rounds_begin_with_the_model_before_whatever_the_path(self):
        self.assertEqual(self.end("dpo", "--rounds", "2", "data.epochs=3"), (0, ""))
        self.assertEqual([json.loads(line)["chosen"] for line in (self.output / "round1" / "kept.jsonl").read_text().splitlines()], ["2"])
        sampled, trained = self.keys("round2", "sampled"), self.keys("round2", "trained")
        self.assertEqual(json.loads(sampled["data.train"]), [str(self.problems)])
        self.assertEqual(json.loads(trained["data.train"]), [str(self.output / "round2" / "kept.jsonl")])
        self.assertEqual({json.loads(keys["model.path"]) for keys in (sampled, trained)}, {str(self.output / "round1" / "trained" / "checkpoints" / "step_00000007" / "model")})
        self.assertEqual((trained["data.epochs"], sampled["data.epochs"]), ("3", "1000000"))

    def test_a_run_that_is_interrupted_has_the_time_to_save(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start("sft", "slow=1")
            run = self.output / "round1" / "sampled"
            deadline = time.monotonic() + 30
            while not (run / "ready").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(number)
            said = process.communicate(timeout=30)[1]
            self.assertEqual((process.returncode, said), (3, ""))
            self.assertTrue((run / "saved").exists())
            (run / "saved").unlink()
            (run / "ready").unlink()

    def test_a_signal_that_is_ignored_stays_so(self):
        process = self.start("sft", "slow=1", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        ready = self.output / "round1" / "sampled" / "ready"
        deadline = time.monotonic() + 30
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        self.assertTrue((ready.parent / "saved").exists())

    def test_mistakes_are_named_before_anything_runs(self):
        for args, words in ((("--rounds", "5"), "--rounds 5 cannot share 4 rollouts"), (("--program", "nowhere"), "cannot start nowhere: No such file or directory"),
                            (("--problems", self.problems, "data.epochs=2"), "--problems data.epochs=2: no such file; key=value")):
            code, said = self.end("sft", *args)
            self.assertNotEqual(code, 0)
            self.assertIn(words, said)
            self.assertNotIn("Traceback", said)

    def examples(self, problems, *args):
        rollouts = self.write("rollouts.jsonl", "".join(json.dumps({"step": 1, "prompt_id": name, "sample": 0, "finish_reason": "stop", "text": "2", "verdict": "right"}) + "\n"
                                                        for name in ("0", "x")))
        path = self.folder / "named.jsonl"
        path.write_bytes(problems)
        result = subprocess.run([sys.executable, SOURCE / "scripts" / "rollouts_to_examples.py", rollouts, "--problems", path, "--output", self.folder / "out.jsonl", *args],
                                capture_output=True, text=True)
        return result.stderr or [row["q.text" if args else "problem"] for row in map(json.loads, (self.folder / "out.jsonl").read_text().splitlines())]

    def test_problems_are_found_as_the_program_names_them(self):
        self.assertEqual(self.examples(b'\xef\xbb\xbf\r\n{"id": null, "problem": "a"}\r\n{"id": "x", "problem": "b"}\r\n'), ["a", "b"])
        self.assertEqual(self.examples(b'{"q": {"text": "a"}}\n{"id": "x", "q.text": "b"}\n', "--prompt-key", "q.text"), ["a", "b"])

    def test_files_that_cannot_be_read_are_named(self):
        for text, words in ((b'{"problem": "a"}\n{"problem"\n', "named.jsonl, line 2: "), (b'{"problem": "\xff"}\n', "named.jsonl, behind line 0: "),
                            (b'{"question": "a"}\n', "named.jsonl: problem 0 has no problem; --prompt-key names the key")):
            said = self.examples(text)
            self.assertIn(words, said)
            self.assertNotIn("Traceback", said)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
