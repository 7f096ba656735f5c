#!/usr/bin/env python3
"""Mistakes as users make them: each ends with one line that says what to do, exit code 2 (wrong use) or 1 (the work
failed), and nothing lost. Arguments: the program and the source folder."""
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import unittest

from support import InFolder, MODEL, PROGRAM

PROBLEMS = [{"problem": f"{a}+1+2+3+4=", "answer": str(a + 10)} for a in range(10)]


class Mistake(InFolder):
    def setUp(self):
        super().setUp()
        self.data = self.write_rows("problems.jsonl", PROBLEMS)

    def config(self, **sections):
        values = {"run": {"name": "run", "output": self.path("runs")},
                  "model": {"path": MODEL, "template": "none"},
                  "data": {"train": [self.data], "epochs": 100},
                  "rollout": {"prompts_per_step": 4, "group_size": 2, "max_new_tokens": 24},
                  "trainer": {"steps": 2, "threads": 1}}
        for section, keys in sections.items():
            values.setdefault(section, {}).update(keys)
        return self.write("config.yaml", json.dumps(values))  # JSON is YAML

    def model_copy(self, name, **changes):
        folder = self.path(name)
        shutil.copytree(MODEL, folder)
        for file, change in changes.items():
            path = os.path.join(folder, file + ".json")
            with open(path, encoding="utf-8") as stream:
                content = json.load(stream)
            change(content)
            os.chmod(path, 0o644)
            with open(path, "w", encoding="utf-8") as stream:
                json.dump(content, stream)
        return folder

    def train(self, config, *args, **more):
        return subprocess.run([PROGRAM, "train", "--config", config, *args], capture_output=True, text=True, timeout=240,
                              cwd=self.folder, **more)

    def fails(self, result, code, *words):
        self.assertEqual(result.returncode, code, result.stderr)
        message = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        self.assertEqual(len(message), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def test_missing_model(self):
        self.fails(self.train(self.config(model={"path": "models/none"})), 2, "model.path", "models/none", "config.json")

    def test_folder_without_weights(self):
        os.mkdir(self.path("hollow"))
        self.fails(self.train(self.config(model={"path": self.path("hollow")})), 2, "hollow", "config.json")

    def test_wrong_key_names_line_and_nearest(self):
        self.fails(self.train(self.config(rollout={"group_sizes": 2})), 2, "config.yaml:1", "group_sizes", "did you mean group_size")

    def test_wrong_type(self):
        self.fails(self.train(self.config(rollout={"group_size": "two"})), 2, "rollout.group_size", "two", "integer")

    def test_value_out_of_range(self):
        self.fails(self.train(self.config(rollout={"top_p": 1.5})), 2, "rollout.top_p", "1.5")

    def test_contradictory_batch_sizes(self):
        self.fails(self.train(self.config(trainer={"updates_per_step": 3})), 2, "trainer.updates_per_step 3", "rollout.prompts_per_step 4")

    def test_group_size_one(self):
        self.fails(self.train(self.config(rollout={"group_size": 1, "resample": {"max_rollouts": 64}})), 2, "rollout.group_size 1", "never tied")

    def test_too_few_problems_for_one_step(self):
        self.fails(self.train(self.config(data={"epochs": 1}, rollout={"prompts_per_step": 64}, trainer={"steps": None})), 2,
                   "data.epochs", "rollout.prompts_per_step 64")

    def test_vocabulary_mismatch(self):
        def add_token(content):
            content["added_tokens"].append({"id": 99, "content": "word", "special": False, "single_word": False, "lstrip": False,
                                            "rstrip": False, "normalized": False})
        folder = self.model_copy("other", tokenizer=add_token)
        self.fails(self.train(self.config(model={"path": folder})), 2, "the tokenizer has", "the model's vocabulary is", "another model")

    def test_missing_data(self):
        self.fails(self.train(self.config(data={"train": ["nowhere.jsonl"]})), 1, "nowhere.jsonl")

    def test_empty_data(self):
        empty = self.write("empty.jsonl", "")
        self.fails(self.train(self.config(data={"train": [empty]})), 1, "empty.jsonl", "no problem")

    def test_bad_row_names_file_and_line(self):
        bad = self.write("bad.jsonl", json.dumps(PROBLEMS[0]) + "\n{\"problem\": \"1+\n")
        self.fails(self.train(self.config(data={"train": [bad]})), 1, "bad.jsonl:2")

    def test_row_without_answer_names_the_keys_there_are(self):
        bad = self.write_rows("other.jsonl", [{"problem": "1+1=", "answers": "2"}])
        self.fails(self.train(self.config(data={"train": [bad]})), 1, "other.jsonl", "answer", "answers")

    def test_gold_answers_that_nothing_can_match(self):
        bad = self.write_rows("golds.jsonl", PROBLEMS + [{"problem": "1+1=", "answer": ""}])
        self.fails(self.train(self.config(data={"train": [bad]})), 2, "1 of 11 gold answers", "problem 10", "reward.max_bad_golds")
        allowed = self.train(self.config(data={"train": [bad]}, reward={"max_bad_golds": 0.2}))
        self.assertEqual(allowed.returncode, 0, allowed.stderr)
        self.assertIn("1 of 11 gold answers", allowed.stderr)

    def test_unknown_architecture(self):
        def rename(content):
            content["architectures"] = ["MambaForCausalLM"]
            content["model_type"] = "mamba"
        folder = self.model_copy("mamba", config=rename)
        self.fails(self.train(self.config(model={"path": folder})), 2, "mamba", "qwen2")

    def test_unknown_template(self):
        self.fails(self.train(self.config(model={"template": "qwen2.5-maths"})), 2, "qwen2.5-maths", "did you mean qwen2.5-math")

    def test_wrong_end_of_sequence_is_noticed_in_the_first_step(self):
        def other_eos(content):
            content["eos_token_id"] = 0  # padding: never sampled
        files = [name for name in ("config", "generation_config") if os.path.exists(os.path.join(MODEL, name + ".json"))]
        folder = self.model_copy("endless", **{name: other_eos for name in files})
        path = os.path.join(folder, "tokenizer_config.json")
        if os.path.exists(path):
            os.remove(path)
        result = self.train(self.config(model={"path": folder}))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("reached the length limit", result.stderr)
        self.assertIn("rollout.stop_ids", result.stderr)

    def test_a_changed_key_on_resume_is_named(self):
        self.assertEqual(self.train(self.config()).returncode, 0)
        result = self.train(self.config(optimizer={"lr": 0.5}, trainer={"steps": 3}))
        self.fails(result, 2, "optimizer.lr")

    def test_disk_full_loses_nothing(self):
        first = self.train(self.config())
        self.assertEqual(first.returncode, 0, first.stderr)

        # A limit on file sizes stands for the full disk: writing beyond it fails in the same place.
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        longer = self.config(trainer={"steps": 4})
        self.fails(self.train(longer, preexec_fn=limit), 1, "step_00000004", "could not be written")
        folder = os.path.join(self.folder, "runs", "run", "checkpoints")
        self.assertEqual(sorted(os.listdir(folder)), ["step_00000002"])
        again = self.train(longer)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("resumed at step 2", again.stderr)
        with open(os.path.join(self.folder, "runs", "run", "metrics.jsonl"), encoding="utf-8") as file:
            self.assertEqual([json.loads(line)["step"] for line in file], [1, 2, 3, 4])

    def test_output_that_cannot_be_written(self):
        blocked = self.write("blocked", "")
        self.fails(self.train(self.config(run={"output": blocked})), 2, "blocked", "is no folder")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
