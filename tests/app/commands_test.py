#!/usr/bin/env python3
"""The command line as its users meet it: formats, exit codes, messages. Arguments: the program and the source folder."""
import json
import lzma
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from support import InFolder, MODEL, PROGRAM, SOURCE, jsonl



def run(*args, rows=None, name="grpo"):
    text = jsonl(rows or [])
    program = os.path.join(os.path.dirname(PROGRAM), name)
    return subprocess.run([program, *args], input=text, capture_output=True, text=True, timeout=240, cwd=SOURCE)


def objects(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


class Rows(unittest.TestCase):
    def test_keep_the_order_of_their_fields(self):
        row = {"z": 1, "prompt": "1+2=", "pred": "3", "gold": "3", "ids": [5, 12], "a": {"y": 1, "b": 2}, "text": "1"}
        for command, first_new in (("generate", "completions"), ("score", "logprobs"), ("verify", "correct"), ("tokenize", "decoded")):
            model = [] if command == "verify" else ["--model", MODEL]
            result = run(command, *model, "--input", "-", "--output", "-", rows=[row])
            self.assertEqual(result.returncode, 0, result.stderr)
            out = json.loads(result.stdout)
            self.assertEqual(list(out)[:len(row) + 1], [*row, first_new], command)
            self.assertEqual(list(out["a"]), ["y", "b"], command)

    def test_of_another_type_are_named_with_file_and_line(self):
        wrong = {"generate": [{"prompt_ids": ["a"]}, {"prompt_ids": {"a": 1}}, {"prompt": [{"role": 1}]}],
                 "score": [{"ids": ["a"]}, {"ids": 3}, {"ids": [1.5]}],
                 "verify": [{"gold": [1], "pred": "1"}, {"gold": "1", "pred": None}],
                 "tokenize": [{"text": 1}]}
        for command, rows in wrong.items():
            model = [] if command == "verify" else ["--model", MODEL]
            for row in rows:
                result = run(command, *model, "--input", "-", "--output", "-", rows=[row])
                self.assertEqual(result.returncode, 1, (row, result.stderr))
                self.assertIn("error: stdin:1: ", result.stderr, row)
                self.assertNotIn("json.exception", result.stderr, row)


class Output(InFolder):
    """What a command writes reaches its place, or the command fails."""

    def test_that_is_the_input_is_refused_and_the_input_kept(self):
        rows = [{"gold": "1", "pred": "1", "prompt": "1+2=", "ids": [5, 12], "text": "1"}] * 3
        file = self.write_rows("rows.jsonl", rows)
        os.symlink(file, self.path("link.jsonl"))
        for command in ("generate", "score", "verify", "tokenize"):
            model = [] if command == "verify" else ["--model", MODEL]
            for output in (file, self.path("link.jsonl"), os.path.join(self.folder, ".", "rows.jsonl")):
                result = run(command, *model, "--input", file, "--output", output)
                self.assertEqual(result.returncode, 2, (command, output, result.stderr))
                self.assertIn("is the input itself", result.stderr)
                with open(file, encoding="utf-8") as kept:
                    self.assertEqual(kept.read(), jsonl(rows))

    def test_to_a_full_stdout_is_a_failure(self):
        file = self.write_rows("problems.jsonl", [{"problem": "1+2=", "answer": "3"}])
        for args in (("data", file, "--json"), ("theory",), ("train", "--help-config"), ("verify", "--help"),
                     ("train", "--config", "quickstart_2grpo", "--print-config"), ("train", "--config", "quickstart_2grpo", "--dry-run")):
            with open("/dev/full", "w", encoding="utf-8") as full:
                result = subprocess.run([PROGRAM, *args], stdout=full, stderr=subprocess.PIPE, text=True, cwd=SOURCE, timeout=240)
            self.assertEqual(result.returncode, 1, (args, result.stderr))
            self.assertIn("error: stdout: not everything could be written", result.stderr)

    def test_waits_for_the_reader_of_a_pipe_that_does_not_block(self):
        file = self.write_rows("rows.jsonl", [{"gold": "1", "pred": "1"}] * 2000)  # more than a pipe holds
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        process = subprocess.Popen([PROGRAM, "verify", "--input", file, "--output", "-"], stdout=writing, stderr=subprocess.PIPE, text=True)
        os.close(writing)
        time.sleep(1)
        with os.fdopen(reading, encoding="utf-8") as lines:
            self.assertEqual(len(lines.readlines()), 2000)
        self.assertEqual(process.wait(timeout=240), 0, process.stderr.read())
        process.stderr.close()


class Score(unittest.TestCase):
    def test_gives_one_log_prob_less_than_ids_and_keeps_other_fields(self):
        rows = [{"ids": [2, 12, 3, 13], "note": "kept"}, {"ids": [5]}, {"ids": []}]
        result = run("score", "--model", MODEL, "--input", "-", "--output", "-", rows=rows)
        self.assertEqual(result.returncode, 0, result.stderr)
        out = objects(result)
        self.assertEqual([len(row["logprobs"]) for row in out], [3, 0, 0])
        self.assertEqual(out[0]["note"], "kept")
        self.assertTrue(all(value < 0 for value in out[0]["logprobs"]))

    def test_names_file_line_and_id_outside_the_vocabulary(self):
        result = run("score", "--model", MODEL, "--input", "-", "--output", "-", rows=[{"ids": [1]}, {"ids": [1, 99]}])
        self.assertEqual(result.returncode, 1)
        self.assertIn("stdin:2", result.stderr)
        self.assertIn("99", result.stderr)


class Generate(unittest.TestCase):
    def test_log_probs_are_those_that_score_gives(self):
        args = ("--samples", "3", "--max-new-tokens", "20", "--seed", "5")
        result = run("generate", "--model", MODEL, "--input", "-", "--output", "-", *args, rows=[{"prompt": "3+1+4+1+5=", "id": 7}])
        self.assertEqual(result.returncode, 0, result.stderr)
        row = objects(result)[0]
        self.assertEqual(row["id"], 7)
        self.assertEqual(len(row["completions"]), 3)
        prompt = objects(run("tokenize", "--model", MODEL, "--input", "-", "--output", "-", rows=[{"text": row["prompt"]}]))[0]["ids"]
        for completion in row["completions"]:
            self.assertEqual(len(completion["ids"]), len(completion["logprobs"]))
            self.assertIn(completion["finish_reason"], ("stop", "length"))
            scored = objects(run("score", "--model", MODEL, "--input", "-", "--output", "-", rows=[{"ids": prompt + completion["ids"]}]))[0]
            for a, b in zip(completion["logprobs"], scored["logprobs"][len(prompt) - 1:]):
                self.assertTrue(math.isclose(a, b, abs_tol=5e-5), (a, b))

    def test_same_seed_same_completions_with_ids_too(self):
        args = ("--model", MODEL, "--input", "-", "--output", "-", "--max-new-tokens", "12", "--seed", "9", "--exact")
        first = objects(run("generate", *args, rows=[{"prompt_ids": [2, 12, 3, 13]}]))
        both = objects(run("generate", *args, rows=[{"prompt_ids": [2, 12, 3, 13]}, {"prompt_ids": [4, 12, 3]}]))
        self.assertEqual(first[0]["completions"], both[0]["completions"])

    def test_reads_a_tokenizer_that_is_compressed(self):
        with tempfile.TemporaryDirectory() as folder:
            for file in Path(MODEL).iterdir():
                if file.name != "tokenizer.json":
                    shutil.copy(file, folder)
            Path(folder, "tokenizer.json.xz").write_bytes(lzma.compress(Path(MODEL, "tokenizer.json").read_bytes()))
            rows, args = [{"prompt": "3+1="}], ("--input", "-", "--output", "-", "--max-new-tokens", "5")
            plain, compressed = (run("generate", "--model", model, *args, rows=rows) for model in (MODEL, folder))
            self.assertEqual(compressed.returncode, 0, compressed.stderr)
            self.assertEqual(compressed.stdout, plain.stdout)

    def test_names_what_a_sequence_beyond_the_memory_can_do(self):
        with tempfile.TemporaryDirectory() as folder:
            for file in Path(MODEL).iterdir():
                shutil.copy(file, folder)
            config = json.loads(Path(MODEL, "config.json").read_text())
            Path(folder, "config.json").write_text(json.dumps(config | {"max_position_embeddings": 10_000_000}))
            args = ("--input", "-", "--output", "-", "--max-new-tokens", "4000000")
            result = run("generate", "--model", folder, *args, rows=[{"prompt": "3+1="}])
            self.assertEqual(result.returncode, 2)
            self.assertIn("lower max_new_tokens", result.stderr)


class Verify(unittest.TestCase):
    def test_adds_the_verdict_and_counts_on_stderr(self):
        rows = [{"gold": "1/2", "pred": "\\boxed{0.5}", "k": 1}, {"gold": "2", "pred": "\\boxed{3}"}, {"gold": "2", "pred_b64": "/w=="}]
        result = run("verify", "--input", "-", "--output", "-", rows=rows)
        self.assertEqual(result.returncode, 0, result.stderr)
        out = objects(result)
        self.assertEqual([row["correct"] for row in out], [True, False, False])
        self.assertEqual([row["verdict"] for row in out][:2], ["right", "wrong"])
        self.assertEqual(out[0]["k"], 1)
        for key in ("gold_parsed", "pred_parsed"):
            self.assertIn(key, out[1])
        self.assertIn("pairs/s", result.stderr.splitlines()[-1])


class Train(InFolder):
    def setUp(self):
        super().setUp()
        self.args = ("--config", "quickstart_2grpo", "--output", str(self.folder), "trainer.steps=2", "rollout.prompts_per_step=8",
                     "eval.every_steps=0")

    def test_under_its_second_name_trains_and_writes_every_metric(self):
        result = run(*self.args, name="grpo-train")
        self.assertEqual(result.returncode, 0, result.stderr)
        folder = self.path("quickstart_2grpo")
        with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        self.assertEqual([line["step"] for line in lines], [1, 2])
        names = ("time reward/mean reward/std accuracy loss grad_norm lr entropy clip_fraction ratio/max kl/sampler groups/total "
                 "groups/live groups/dead_right groups/dead_wrong groups/dead_predicted rollouts rollouts/total tokens/prompt "
                 "tokens/completion tokens/trained truncated verdict/unparsable length/mean length/max time/rollout time/reward "
                 "time/update time/train time/cpu time/checkpoint time/step speed/rollout_tokens_per_s speed/update_tokens_per_s "
                 "memory/peak_bytes").split()
        for line in lines:
            for name in names:
                self.assertTrue(math.isfinite(line[name]), name)
            self.assertGreater(line["time/cpu"], 0)
            self.assertEqual(line["groups/live"] + line["groups/dead_right"] + line["groups/dead_wrong"], line["groups/total"])
        with open(os.path.join(folder, "rollouts", "step_00000001.jsonl"), encoding="utf-8") as file:
            row = json.loads(file.readline())
        for key in ("step prompt_id sample prompt prompt_ids ids text logprobs finish_reason answer gold verdict reward advantage").split():
            self.assertIn(key, row)
        for name in ("config.yaml", "run.json", "checkpoints/step_00000002/MANIFEST", "checkpoints/step_00000002/model/config.json"):
            self.assertTrue(os.path.exists(os.path.join(folder, name)), name)
        again = run(*self.args, name="grpo-train")
        self.assertEqual(again.returncode, 0)
        self.assertIn("finished", again.stderr)

    def test_records_the_second_step_as_a_trace_with_named_phases(self):
        with tempfile.TemporaryDirectory() as out:
            result = run("--config", "configs/quickstart_2grpo.yaml", "--output", out, "--profile", "run.name=traced", "trainer.steps=2",
                         "eval.every_steps=0", name="grpo-train")
            self.assertEqual(result.returncode, 0, result.stderr)
            folder = os.path.join(out, "traced", "profile")
            self.assertEqual(os.listdir(folder), ["step-2.rank-0.json"])
            with open(os.path.join(folder, "step-2.rank-0.json")) as file:
                events = json.load(file)["traceEvents"]
            phases = [event["name"] for event in events if event.get("cat") == "user_annotation"]
            self.assertEqual(sorted(set(phases)), ["backward", "forward", "optimizer", "reward", "rollout"])
            self.assertTrue(any(event["name"].startswith("aten::") for event in events))

    def test_wrong_use_is_exit_code_2_with_a_helpful_line(self):
        for extra, words in (("optimizer.lrr=1", "did you mean lr?"), ("rollout.group_size=two", "rollout.group_size"),
                             ("model.path=nowhere", "no folder"), ("rollout.resample.max_rollouts=2", "is less than")):
            result = run("train", *self.args, extra)
            self.assertEqual(result.returncode, 2, (extra, result.stderr))
            self.assertIn(words, result.stderr)
        self.assertEqual(run("train", "--config", "quickstrat_2grpo").returncode, 2)
        self.assertEqual(run("trian").returncode, 2)

    def test_flags_without_an_effect_are_refused(self):
        for flags, words in ((("--gpus", "4"), "--nproc"), (("--gpu-memory", "80"), "--dry-run"), (("--rows", "7"), "--dry-run"),
                             (("--markdown", "--print-config"), "--help-config"), (("--print-config", "--dry-run"), "exclude each other"),
                             (("--profile", "--dry-run"), "--profile"), (("--nproc", "2", "--gpus", "2", "--dry-run"), "exclude each other"),
                             (("--nproc", "2", "distributed.backend=single"), "distributed.backend: single"),
                             (("--gpus", "2", "--dry-run", "distributed.backend=single"), "distributed.backend: single")):
            result = run("train", *self.args, *flags)
            self.assertEqual(result.returncode, 2, (flags, result.stderr))
            self.assertIn(words, result.stderr, flags)
        self.assertFalse(os.path.exists(self.path("quickstart_2grpo")))
        for flag in ("--nproc", "--gpus"):
            self.assertIn("memory of each of 4 ranks", run("train", *self.args, "--dry-run", flag, "4").stdout)
        self.assertIn("memory of the process", run("train", *self.args, "--dry-run").stdout)

    def test_the_output_folder_is_taken_word_for_word(self):
        for name in ("a #1", "a: b", "[a]", "~", "'a'"):
            printed = run("train", "--config", "quickstart_2grpo", "--output", self.path(name), "--print-config").stdout
            self.assertIn(f'output: "{self.path(name)}"', printed)

    def test_the_second_name_tells_the_version_too(self):
        versions = [run("--version", name=name) for name in ("grpo", "grpo-train")]
        self.assertEqual([result.returncode for result in versions], [0, 0])
        self.assertEqual(versions[0].stdout, versions[1].stdout)

    def test_peak_memory_is_that_of_the_run_and_not_of_its_launcher(self):
        launcher = "import subprocess, sys; held = bytearray(b'1') * (1 << 30); sys.exit(subprocess.run(sys.argv[1:], cwd=%r).returncode)" % str(SOURCE)
        result = subprocess.run([sys.executable, "-c", launcher, PROGRAM, "train", *self.args], capture_output=True, text=True, timeout=240)
        self.assertEqual(result.returncode, 0, result.stderr)
        with open(self.path("quickstart_2grpo/metrics.jsonl"), encoding="utf-8") as file:
            self.assertLess(json.loads(file.readline())["memory/peak_bytes"], 1 << 30)

    def test_a_plan_puts_the_prompts_into_the_template(self):
        plan = run("train", *self.args, "--dry-run", "model.template=Add {problem} now").stdout
        self.assertRegex(plan, r'; the first: "Add [0-9+]+= now"\n')
        for override, word in (("model.template=qwenx", "did you mean qwen"), ("data.max_prompt_tokens=3", "data.max_prompt_tokens")):
            result = run("train", *self.args, "--dry-run", override)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(word, result.stderr)
        self.assertNotRegex(run("train", *self.args, "--dry-run", "--rows", "100").stdout, r"(?m)^prompts:")

    def test_prints_configuration_and_plan(self):
        self.assertIn("group_size: 2", run("train", *self.args, "--print-config").stdout)
        plan = run("train", *self.args, "--dry-run").stdout
        self.assertIn("16 rollouts a step", plan)
        self.assertRegex(plan, r'\nprompts: \d+ to \d+ tokens in (the first )?\d+; the first: "[0-9+]+="\n')
        self.assertIn("clip_high", run("train", "--help-config").stdout)


class Eval(unittest.TestCase):
    def test_gives_every_figure_for_each_set_and_repeats_itself(self):
        rows = [json.dumps({"problem": f"{a}+2+3+4+5=", "answer": str(a + 14), "id": f"p{a}"}) for a in range(6)]
        with tempfile.TemporaryDirectory() as folder:
            for name, part in (("small", rows[:2]), ("large", rows)):
                with open(os.path.join(folder, name + ".jsonl"), "w", encoding="utf-8") as file:
                    file.write("\n".join(part) + "\n")
            files = [os.path.join(folder, name + ".jsonl") for name in ("small", "large")]
            args = ["eval", "--model", MODEL, "--template", "none", "--data", *files, "--samples", "6", "--temperature", "1", "--top-p", "1",
                    "--top-k", "0", "--max-new-tokens", "24", "--threads", "1"]
            result = run(*args, "--output", os.path.join(folder, "a"))
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(run(*args, "--output", os.path.join(folder, "b")).returncode, 0)
            with open(os.path.join(folder, "a", "eval.json"), encoding="utf-8") as file:
                report = json.load(file)
            self.assertEqual([(part["name"], part["problems"]) for part in report["sets"]], [("small", 2), ("large", 6)])
            for part in report["sets"]:
                with open(os.path.join(folder, "a", part["name"] + ".jsonl"), encoding="utf-8") as file:
                    first = file.read()
                with open(os.path.join(folder, "b", part["name"] + ".jsonl"), encoding="utf-8") as file:
                    self.assertEqual(file.read(), first)
                problems = [json.loads(line) for line in first.splitlines()]
                self.assertEqual(len(problems), part["problems"])
                shares = [problem["right"] / 6 for problem in problems]
                self.assertTrue(math.isclose(part["mean"], sum(shares) / len(shares), abs_tol=1e-12))
                self.assertTrue(math.isclose(part["pass"]["1"], part["mean"], abs_tol=1e-12))
                self.assertTrue(math.isclose(part["pass"]["6"], sum(share > 0 for share in shares) / len(shares), abs_tol=1e-12))
                self.assertEqual(sorted(map(int, part["pass"])), [1, 2, 4, 6])
                self.assertLessEqual(part["ci_low"], part["mean"])
                self.assertGreaterEqual(part["ci_high"], part["mean"])

    def test_samples_only_what_is_missing(self):
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for name, first in (("one", 0), ("two", 3)):
                files.append(os.path.join(folder, name + ".jsonl"))
                with open(files[-1], "w", encoding="utf-8") as file:
                    file.writelines(json.dumps({"problem": f"{a}+2+3+4+5=", "answer": str(a + 14)}) + "\n" for a in range(first, first + 3))

            def evaluate(output, samples, *data):
                result = run("eval", "--model", MODEL, "--template", "none", "--samples", str(samples), "--greedy", "--max-new-tokens", "24",
                             "--threads", "1", "--data", *data, "--output", os.path.join(folder, output), "--answers", os.path.join(folder, "answers"))
                self.assertEqual(result.returncode, 0, result.stderr)
                with open(os.path.join(folder, output, "eval.json"), encoding="utf-8") as file:
                    return json.load(file)

            def lines(output, name):
                with open(os.path.join(folder, output, name + ".jsonl"), encoding="utf-8") as file:
                    return file.read()

            first = evaluate("a", 2, files[0])
            self.assertGreater(first["sampled_tokens"], 0)
            self.assertEqual(evaluate("b", 2, files[0])["sampled_tokens"], 0)
            self.assertEqual(lines("a", "one"), lines("b", "one"))
            # The store as a killed process leaves it: half a line at the end. One more set, more samples: the first stay.
            (store,) = os.listdir(os.path.join(folder, "answers"))
            with open(os.path.join(folder, "answers", store), "a", encoding="utf-8") as file:
                file.write('{"set":"one","dr')
            more = evaluate("c", 4, *files)
            self.assertGreater(more["sampled_tokens"], 0)
            self.assertEqual([(part["name"], part["samples"]) for part in more["sets"]], [("one", 4), ("two", 4)])
            for before, after in zip(lines("a", "one").splitlines(), lines("c", "one").splitlines()):
                self.assertEqual(json.loads(before)["samples"], json.loads(after)["samples"][:2])
                self.assertEqual(json.loads(before)["greedy"], json.loads(after)["greedy"])
            self.assertEqual(evaluate("d", 4, *files)["sampled_tokens"], 0)
            for name in ("one", "two"):
                self.assertEqual(lines("c", name), lines("d", name))
            for part in more["sets"]:
                rows = [json.loads(line) for line in lines("c", part["name"]).splitlines()]
                self.assertAlmostEqual(part["greedy"], sum(row["greedy"]["verdict"] == "right" for row in rows) / len(rows))
                for low, high in (part["greedy_ci"], part["maj_ci"], part["pass_ci"]["4"], (part["ci_low"], part["ci_high"])):
                    self.assertLessEqual(low, high)

    def test_stopped_by_a_signal_it_keeps_its_answers(self):
        data = os.path.join(SOURCE, "configs", "quickstart", "heldout.jsonl")
        with tempfile.TemporaryDirectory() as folder:
            args = [PROGRAM, "eval", "--model", MODEL, "--template", "none", "--samples", "64", "--threads", "1", "--data", data, "--output", folder]
            process = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            answers = os.path.join(folder, "answers")
            deadline = time.monotonic() + 120
            while not (os.path.isdir(answers) and any(os.path.getsize(os.path.join(answers, name)) for name in os.listdir(answers))):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, messages = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 3, messages)
            self.assertIn("stopped by a signal", messages)
            self.assertEqual(os.listdir(folder), ["answers"])
            (store,) = os.listdir(answers)
            with open(os.path.join(answers, store), encoding="utf-8") as file:
                self.assertTrue(all(json.loads(line)["set"] == "heldout" for line in file))

    def test_refuses_two_sets_of_one_name(self):
        data = os.path.join(SOURCE, "configs", "quickstart", "heldout.jsonl")
        with tempfile.TemporaryDirectory() as folder:
            result = run("eval", "--model", MODEL, "--template", "none", "--data", data, data, "--output", folder)
            self.assertEqual(result.returncode, 2)
            self.assertIn("heldout", result.stderr)

    def test_refuses_a_folder_where_results_would_take_the_place_of_the_problems(self):
        row = {"problem": "1+1=", "answer": "2"}
        for name, text in (("held.jsonl", json.dumps(row) + "\n"), ("eval.json", json.dumps([row]))):
            with tempfile.TemporaryDirectory() as folder:
                data = os.path.join(folder, name)
                with open(data, "w", encoding="utf-8") as file:
                    file.write(text)
                result = run("eval", "--model", MODEL, "--template", "none", "--data", data, "--output", folder, "--samples", "1")
                self.assertEqual(result.returncode, 2)
                self.assertIn("would take the place of the problems in", result.stderr)
                with open(data, encoding="utf-8") as file:
                    self.assertEqual(file.read(), text)
                self.assertEqual(os.listdir(folder), [name])


class Doctor(unittest.TestCase):
    def test_names_every_part_of_the_machine(self):
        with tempfile.TemporaryDirectory() as folder:
            result = run("doctor", "--output", folder)
            self.assertEqual(result.returncode, 0, result.stderr)
            for word in ("libtorch", "cpu", "cores", "vector units", "cpu kernels", "fp32 products", "bf16 products", "memory", "gpu", "nccl", "disk"):
                self.assertIn("\n" + word, "\n" + result.stdout)
            self.assertEqual(os.listdir(folder), [])

    def test_says_what_multiplies_with_the_instruction_set_that_is_allowed(self):
        with tempfile.TemporaryDirectory() as folder:
            def asked(name):
                return subprocess.run([PROGRAM, "doctor", "--output", folder], capture_output=True, text=True, check=False,
                                      env={**os.environ, "GRPO_MAX_CPU_ISA": name})
            result = asked("generic")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("generic (GRPO_MAX_CPU_ISA=generic)", result.stdout)
            self.assertIn("our own (generic): oneDNN needs AVX512_BF16 for this dtype", result.stdout)
            result = asked("sse9")
            self.assertEqual(result.returncode, 2)
            self.assertIn("GRPO_MAX_CPU_ISA=sse9: expected generic, avx2, avx512 or avx512_bf16", result.stderr)
            for name in ("AVX512_CORE", "avx2"):  # oneDNN has no bf16 then
                result = subprocess.run([PROGRAM, "doctor", "--output", folder], capture_output=True, text=True, check=False,
                                        env={**os.environ, "ONEDNN_MAX_CPU_ISA": name})
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertIn(f"(ONEDNN_MAX_CPU_ISA={name})", result.stdout)
                self.assertIn("oneDNN needs AVX512_BF16 for this dtype", result.stdout)


class LibrariesOfTheProgram(unittest.TestCase):
    DEFAULTS = {"GOMP_SPINCOUNT": "10000", "LRU_CACHE_CAPACITY": "128", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128",
                "MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"}

    def environment_with(self, **variables):
        """What the program has of the variables of its libraries once it has started; it stays the same process."""
        mine = {name: value for name, value in os.environ.items() if name not in (*self.DEFAULTS, "OMP_WAIT_POLICY")}
        with subprocess.Popen([PROGRAM, "verify", "--input", "-", "--output", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              env={**mine, **variables}) as process:
            deadline = time.monotonic() + 60
            found = {}
            while "LRU_CACHE_CAPACITY" not in found and time.monotonic() < deadline:
                with open(f"/proc/{process.pid}/environ", encoding="utf-8") as file:
                    found = dict(entry.split("=", 1) for entry in file.read().split("\0") if "=" in entry)
            process.communicate()
        return {name: found[name] for name in (*self.DEFAULTS, "OMP_WAIT_POLICY") if name in found}

    def test_wait_and_keep_little(self):
        self.assertEqual(self.environment_with(), self.DEFAULTS)

    def test_do_as_the_user_says(self):
        self.assertEqual(self.environment_with(GOMP_SPINCOUNT="7"), {**self.DEFAULTS, "GOMP_SPINCOUNT": "7"})
        self.assertEqual(self.environment_with(OMP_WAIT_POLICY="active"),
                         {"OMP_WAIT_POLICY": "active", **{name: value for name, value in self.DEFAULTS.items() if name != "GOMP_SPINCOUNT"}})
        self.assertEqual(self.environment_with(MALLOC_TRIM_THRESHOLD_="9"),
                         {**{name: value for name, value in self.DEFAULTS.items() if not name.startswith("MALLOC_")}, "MALLOC_TRIM_THRESHOLD_": "9"})


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
