#!/usr/bin/env python3
"""What the documentation says exists: files it links or names, configurations, subcommands and options, configuration keys;
and docs/examples/extend/*.patch, the examples of docs/extending.md, still apply. Arguments: the program and the source folder."""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM, SOURCE = sys.argv[1], Path(sys.argv[2])
PAGES = [SOURCE / "README.md", *sorted((SOURCE / "docs").rglob("*.md"))]
ROOTS = ("src", "include", "scripts", "configs", "docs", "cmake", "tests")


def output(*args):
    result = subprocess.run([PROGRAM, *args], capture_output=True, text=True, cwd=SOURCE)
    return result.stdout + result.stderr


def commands(page):
    """(subcommand, arguments) of every grpo and grpo-train line in the page's code, continued lines joined."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for name, rest in re.findall(r"(?<![\w/.-])(?:build/bin/|bin/)?(grpo-train|grpo)((?: +[^\s`|]+)+)", text):
        words = rest.split("#")[0].split()
        if name == "grpo-train":
            yield "train", words
        elif words and re.fullmatch(r"[a-z]+", words[0]) and words[0] in SUBCOMMANDS:
            yield words[0], words[1:]


def required_options(help_text):
    return re.findall(r"^  (--[\w-]+) TEXT.* REQUIRED", help_text, re.M)


SUBCOMMANDS = ("train", "eval", "generate", "score", "verify", "tokenize", "compare", "doctor", "data")


class Documentation(unittest.TestCase):
    def test_links_lead_somewhere(self):
        for page in PAGES:
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
                if "://" not in target:
                    self.assertTrue((page.parent / target).exists(), f"{page}: {target}")

    def test_files_that_are_named_exist(self):
        found = 0
        patched = set()  # files that the examples of extending add
        for patch in (SOURCE / "docs" / "examples" / "extend").glob("*.patch"):
            patched |= set(re.findall(r"^\+\+\+ b/(\S+)", patch.read_text(encoding="utf-8"), re.M))
        for page in PAGES:
            for path in re.findall(r"`((?:%s)/[\w./-]+\.\w+)`" % "|".join(ROOTS), page.read_text(encoding="utf-8")):
                found += 1
                self.assertTrue(path in patched or (SOURCE / path).exists(), f"{page}: {path}")
        self.assertGreater(found, 20)

    def test_scripts_can_be_called_by_their_names(self):
        scripts = [path for path in sorted((SOURCE / "scripts").rglob("*")) if path.is_file() and path.read_bytes().startswith(b"#!")]
        self.assertGreater(len(scripts), 20)
        self.assertEqual([str(path) for path in scripts if not os.access(path, os.X_OK)], [])

    def test_options_are_those_of_the_program(self):
        help_of = {name: output(name, "--help") for name in SUBCOMMANDS}
        found = 0
        for page in PAGES:
            for name, words in commands(page):
                for option in (word.split("=")[0] for word in words if word.startswith("--")):
                    found += 1
                    self.assertIn(option.rstrip(".,;:)'\""), help_of[name], f"{page}: grpo {name} {option}")
        self.assertGreater(found, 15)

    def test_commands_have_the_options_that_they_must_have(self):
        required = {name: required_options(output(name, "--help")) for name in SUBCOMMANDS}
        self.assertEqual(required["eval"], ["--model", "--data", "--output"])
        for page in PAGES:
            for name, words in commands(page):
                options = [word.split("=")[0].rstrip(".,;:)'\"") for word in words]
                if "--model" in options and name != "data":
                    self.assertLessEqual(set(required[name]), set(options), f"{page}: grpo {name} {' '.join(words)}")

    def test_configurations_and_keys_are_known(self):
        keys = set(re.findall(r"^\s*([a-z_]+(?:\.[a-z_]+)+)", output("train", "--help-config"), re.M)) or set()
        document = (SOURCE / "docs" / "config.md").read_text(encoding="utf-8")
        keys |= set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", document))
        self.assertGreater(len(keys), 50)
        sections = {key.split(".")[0] for key in keys}
        for page in PAGES:
            text = page.read_text(encoding="utf-8")
            for name in re.findall(r"--config +([\w./-]+)", text):
                if name in ("FILE", "F", "my.yaml"):
                    continue
                stem = name.removesuffix(".yaml")
                file = SOURCE / name if name.startswith("configs/") and name.endswith(".yaml") else SOURCE / "configs" / (Path(stem).name + ".yaml")
                self.assertTrue(file.exists(), f"{page}: --config {name}")
            for key in re.findall(r"(?<![\w./])([a-z]+\.[a-z_]+(?:\.[a-z_]+)*)=", text):
                if key.split(".")[0] in sections:
                    self.assertIn(key, keys, f"{page}: {key}")

    def test_the_scaling_table_is_what_the_plan_prints(self):
        program = Path(PROGRAM).with_name("grpo-train")
        table = subprocess.run([sys.executable, SOURCE / "scripts" / "plan_table.py", program], capture_output=True, text=True, check=True).stdout
        self.assertGreater(len(table.splitlines()), 10)
        self.assertIn(table, (SOURCE / "docs" / "distributed.md").read_text(encoding="utf-8"), f"run: scripts/plan_table.py {program}")

    def test_every_metric_is_explained(self):
        page = (SOURCE / "docs" / "watching_runs.md").read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            for name, overrides in (("one", ["algorithm.kl={coef: 0.1, in: reward}", "rollout.overlong.buffer=4", "eval.greedy=true"]),
                                    ("two", ["--nproc", "2", "algorithm.loss=clip", "algorithm.dual_clip=3", "algorithm.kl.coef=0.1"]), ("three", ["trainer.stream_update=true"])):
                subprocess.run([PROGRAM, "train", "--config", "quickstart_2grpo", f"run.output={folder}", f"run.name={name}", "trainer.steps=1", "eval.samples=1", *overrides],
                               capture_output=True, check=True, cwd=SOURCE)
                for line in (Path(folder) / name / "metrics.jsonl").read_text().splitlines():
                    for key in json.loads(line):
                        shown = re.sub(r"^eval/heldout/(mean|pass|maj)@\d+$", r"\1@k", re.sub(r"^eval/heldout/(greedy|ci_\w+)$", r"\1", re.sub("^reward/math/mean$", "reward/<term>/mean", key)))
                        self.assertRegex(page, rf"[`/]{re.escape(shown)}`", key)

    def test_the_bias_of_extension_is_what_the_script_prints(self):
        table = subprocess.run([sys.executable, SOURCE / "scripts" / "extension_bias.py"], capture_output=True, text=True, check=True).stdout
        self.assertIn(table, (SOURCE / "docs" / "algorithm.md").read_text(encoding="utf-8"))

    def test_examples_of_extending_apply(self):
        patches = sorted((SOURCE / "docs" / "examples" / "extend").glob("*.patch"))
        self.assertEqual([patch.stem for patch in patches], ["advantage", "family", "loss", "method", "metric", "reward"])
        for patch in patches:
            # Not as part of a repository: the sources may be a plain copy, and nothing may be written.
            result = subprocess.run(["git", "apply", "--check", str(patch)], capture_output=True, text=True, cwd=SOURCE,
                                    env={**os.environ, "GIT_CEILING_DIRECTORIES": str(SOURCE.parent)})
            self.assertEqual(result.returncode, 0, f"{patch.name}: {result.stderr}\nBring the example up to date with the sources.")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
