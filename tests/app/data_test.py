#!/usr/bin/env python3
"""grpo data, and the configurations and commands of docs/data.md. Arguments: the program and the source folder."""
import gzip
import json
import re
import subprocess
import sys
import unittest

from support import InFolder, MODEL, PROGRAM, QUICKSTART, SOURCE, TRAIN, jsonl

PAGE = (SOURCE / "docs" / "data.md").read_text(encoding="utf-8")


def blocks(language):
    return [text for name, text in re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.M | re.S) if name == language]


def grpo_data(*args, cwd=SOURCE):
    return subprocess.run([PROGRAM, "data", *args], capture_output=True, text=True, timeout=120, cwd=cwd)


def facts(*args):
    result = grpo_data("--json", *args)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


class Page(InFolder):
    def test_shows_what_the_command_prints(self):
        self.assertEqual(len(blocks("")), 1)
        command, output = blocks("")[0].split("\n", 1)
        self.assertTrue(command.startswith("$ grpo data "), command)
        result = grpo_data(*command.split()[3:])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(output.strip().splitlines(), result.stdout.strip().splitlines())

    def test_names_the_keys_of_the_json(self):
        def keys(value):
            if isinstance(value, dict):
                return {key for key in value if key != "examples"} | {below for key, item in value.items() if key != "examples" for below in keys(item)}
            return {key for item in value for key in keys(item)} if isinstance(value, list) else set()

        named = keys(facts(str(QUICKSTART / "train.jsonl"), str(QUICKSTART / "heldout.jsonl")))
        self.assertGreater(len(named), 25)
        for key in named:
            self.assertIn(f"`{key}`", PAGE)

    def test_mixes_sets_as_its_configuration_says(self):
        sums = [{"problem": f"{i % 10}+{i // 10 % 10}+1+1+{i // 100}=", "answer": i % 10 + i // 10 % 10 + 2 + i // 100, "level": i % 5 + 1,
                 "source": ("aime", "synthetic", None)[i % 3]} for i in range(400)]
        self.write_rows("dapo.jsonl", sums[:250])
        with gzip.open(self.path("hard-0.jsonl.gz"), "wt") as file:
            file.write(jsonl(sums[250:260]) + '{"problem": \n')
        self.write("hard-1.csv", "problem,answer\n9+9+9+9+9=,45\n9+9+9+9+8=,44,x\n")
        self.write_rows("gsm8k.jsonl", sums[255:300])
        self.assertEqual(len(blocks("yaml")), 1)
        self.write("mix.yaml", f"base: {QUICKSTART.parent}/quickstart_2grpo.yaml\n" + blocks("yaml")[0])
        result = subprocess.run([TRAIN, "--config", self.path("mix.yaml"), "run.output=" + self.path("runs"), "trainer.steps=1", "eval.every_steps=0",
                                 "rollout.prompts_per_step=8", "model.path=" + MODEL], capture_output=True, text=True, timeout=240, cwd=self.folder)
        self.assertEqual(result.returncode, 0, result.stderr)
        log = result.stdout + result.stderr
        wanted = sum(row["level"] >= 3 and row["source"] != "synthetic" for row in sums[:250])
        self.assertIn(f"dapo.jsonl: 75 problems of 250 rows: {250 - wanted} do not meet where, {wanted - 75} not taken; weight 1, 75 of 137 draws an epoch", log)
        self.assertIn("11 problems of 13 rows; weight 2, 22 of 137 draws an epoch", log)
        self.assertIn("gsm8k.jsonl: 40 problems of 45 rows: 5 duplicates dropped; weight 1, 40 of 137 draws an epoch", log)
        self.assertIn("2 of 13 rows cannot be read and are left out", log)
        self.assertIn("hard-0.jsonl.gz:11: not valid JSON", log)
        saved = (self.folder / "runs" / "quickstart_2grpo" / "config.yaml").read_text()
        self.assertIn("take: 75", saved)


class Files(InFolder):
    def test_lengths_are_counted_in_characters_or_in_the_models_tokens(self):
        self.write_rows("a.jsonl", [{"problem": "1+1+1+1+1=", "answer": 5}, {"problem": "é" * 40, "answer": 1}])
        length = facts(self.path("a.jsonl"))["files"][0]["length"]
        self.assertEqual((length["unit"], length["max"], length["mean"]), ("characters", 40, 25))
        self.assertEqual(length["histogram"], [{"from": 8, "to": 15, "count": 1}, {"from": 16, "to": 31, "count": 0}, {"from": 32, "to": 63, "count": 1}])
        tokens = facts("--model", MODEL, "--template", "none", str(QUICKSTART / "train.jsonl"))["files"][0]["length"]
        ids = subprocess.run([PROGRAM, "tokenize", "--model", MODEL, "--input", "-", "--output", "-"], capture_output=True, text=True,
                             input=json.dumps({"text": "3+1+7+9+0="}) + "\n", timeout=60).stdout
        self.assertEqual(tokens["unit"], "tokens")
        self.assertIn(tokens["median"] - len(json.loads(ids)["ids"]), (0, 1))  # with or without a BOS

    def test_golds_duplicates_and_bad_rows_are_counted_and_named(self):
        rows = [{"problem": "a b", "answer": "1"}, {"problem": " a  b", "answer": "2"}, {"problem": "c", "answer": "The answer is 7."},
                {"problem": "d", "answer": "3+__=7"}, {"problem": "e", "answer": None}, {"question": "f"}]
        file = self.write_rows("a.jsonl", rows)
        found = facts(file)["files"][0]
        self.assertEqual((found["rows"], found["problems"], found["bad_rows"]["count"]), (6, 5, 1))
        self.assertIn("a.jsonl:6: no key problem", found["bad_rows"]["examples"][0])
        self.assertEqual(found["duplicates"], {"count": 1, "other_answer": 1, "examples": [{"place": file + ":2", "first": file + ":1", "other_answer": True}]})
        self.assertEqual((found["golds"]["cannot_be_verified"], found["golds"]["missing"]), (2, 1))
        self.assertEqual([example["place"] for example in found["golds"]["examples"]], [file + ":4", file + ":5"])
        self.assertEqual(found["golds"]["taken_out_by_rule"], {"phrase": 1})
        text = grpo_data(file).stdout
        for words in ("6 rows, 5 problems", "1 problems repeat an earlier one, 1 of them with another", "2 of 5 can reward no right completion"):
            self.assertIn(words, text)

    def test_pairs_are_shown_as_pairs(self):
        chat = lambda answer: [{"role": "user", "content": "1+1"}, {"role": "assistant", "content": answer}]
        within = self.write_rows("within.jsonl", [{"chosen": chat("2"), "rejected": chat("3")}] * 2)
        result = grpo_data(within)
        self.assertEqual(result.returncode, 0, result.stderr)
        for text in ("2 rows, 2 pairs", "chosen (chat: the better completion)", "rejected (chat: the worse completion)", "the problem is what both completions begin with",
                     "1 pairs repeat an earlier one"):
            self.assertIn(text, result.stdout)
        for text in ("golds", "--answer-key", "bad rows"):
            self.assertNotIn(text, result.stdout)
        beside = facts(self.write_rows("beside.jsonl", [{"prompt": "1+1=", "chosen": "2", "rejected": "3"}]))["files"][0]
        self.assertEqual((beside["prompt_key"], beside["chosen_key"], beside["rejected_key"], beside["bad_rows"]["count"]), ("prompt", "chosen", "rejected", 0))

    def test_overlap_is_found_against_sets_or_among_files(self):
        words = " ".join(f"w{i}" for i in range(20))
        train = self.write_rows("train.jsonl", [{"problem": "Say: " + words, "answer": 1}, {"problem": "other", "answer": 2}])
        test = self.write_rows("test.jsonl", [{"problem": words + "!", "answer": 1}, {"problem": "Other?", "answer": 2}, {"problem": "new", "answer": 3}])
        for args in ((train, "--against", test), (train, test)):
            (overlap,) = facts(*args)["overlap"]
            self.assertEqual((overlap["problems"], overlap["found"], overlap["half_or_more"], overlap["same"]), (3, 2, 2, 1))
            self.assertEqual(overlap["examples"][0]["trained"], train + ":1")
        self.assertEqual(facts(train)["overlap"], [])
        self.assertIn("2 of 3 problems (66.7 %) share 13 words", grpo_data(train, test).stdout)

    def test_what_is_not_there_or_not_known_is_said(self):
        result = grpo_data(self.path("none.jsonl"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("no such file", result.stderr)
        file = self.write_rows("a.jsonl", [{"x": "p", "y": "1"}])
        self.assertIn("--prompt-key names it", grpo_data(file).stdout)
        self.assertEqual(facts(file, "--prompt-key", "x", "--answer-key", "y")["files"][0]["problems"], 1)
        self.assertEqual(grpo_data(file, "--model", self.path("none")).returncode, 2)
        result = grpo_data(file, "--template", "none")  # which would have no effect
        self.assertEqual(result.returncode, 2)
        self.assertIn("--template needs --model", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
