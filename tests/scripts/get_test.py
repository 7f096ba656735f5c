#!/usr/bin/env python3
"""scripts/get_data.sh, get_model.sh and convert_problems.py, with a tool `hf` that stands for the hub's. Argument: the source folder."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = sys.argv[1]
HF = r"""#!/usr/bin/env python3
import os, sys
a = sys.argv[1:]
folder = a[a.index("--local-dir") + 1]
os.makedirs(folder, exist_ok=True)
if a[0] != "download" or "unreachable" in a[1]:
    sys.exit("hf: cannot reach the hub")
wanted = a[a.index("--include") + 1:a.index("--local-dir")]
cut = "cut" in os.environ.get("HF_STAND_IN", "")  # the connection breaks behind the first file
if "--repo-type" in a:
    rows = {"HuggingFaceH4/MATH-500": '{"problem": "1 + 1?", "answer": "2", "unique_id": "x"}\n',
            "math-ai/amc23": '{"id": 7, "question": "2 + 2?", "answer": 4.0}\n',
            "EleutherAI/hendrycks_math": '{"problem": "2 + 3?", "solution": "it is \\\\boxed{5}"}\n{"problem": "1 + 1 ?", "solution": "\\\\boxed{2}"}\n'}[a[1]]
    open(os.path.join(folder, "test.jsonl"), "w").write(rows)
    if cut:
        sys.exit("hf: the connection broke")
    open(os.path.join(folder, "train.jsonl"), "w").write(rows.replace("1 + 1", "1 + 7").replace("2 + 2", "2 + 7").replace("2 + 3", "2 + 8"))
else:
    index = '{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}'
    for name in ("config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.json", "chat_template.jinja", "model-00002-of-00002.safetensors"):
        if cut and name == "chat_template.jinja":
            sys.exit(0 if "offline" in os.environ["HF_STAND_IN"] else "hf: the connection broke")
        if any(name.endswith(pattern.lstrip("*")) for pattern in wanted):
            open(os.path.join(folder, name), "w").write(index if "index" in name else a[1])
"""


class Scripts(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = self.temporary.name
        os.mkdir(os.path.join(self.folder, "scripts"))
        os.mkdir(os.path.join(self.folder, "bin"))
        for name in ("get_data.sh", "get_model.sh", "convert_problems.py"):
            shutil.copy(os.path.join(SOURCE, "scripts", name), os.path.join(self.folder, "scripts", name))

    def tearDown(self):
        self.temporary.cleanup()

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)
        return path

    def rows(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def run_script(self, name, *args, hf=""):
        environment = {**os.environ, "PATH": os.path.join(self.folder, "bin") + ":/usr/bin:/bin", "HF_STAND_IN": hf}
        return subprocess.run([os.path.join(self.folder, "scripts", name), *args], capture_output=True, text=True, cwd=self.folder, env=environment)

    def test_data_is_fetched_once_and_converted(self):
        self.write("bin/hf", HF)
        for _ in range(2):
            result = self.run_script("get_data.sh", "math500", "amc23")
            self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("data/math500.jsonl is in place", result.stdout)
        self.assertEqual(self.rows("data/math500.jsonl"), [{"id": "0", "problem": "1 + 1?", "answer": "2"}, {"id": "1", "problem": "1 + 7?", "answer": "2"}])
        self.assertEqual(self.rows("data/amc23.jsonl")[0], {"id": "7", "problem": "2 + 2?", "answer": "4.0"})

    def test_a_set_whose_download_broke_is_fetched_anew(self):
        self.write("bin/hf", HF)
        self.assertEqual(self.run_script("get_data.sh", "math500", hf="cut").returncode, 1)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "data", "math500.jsonl")))
        self.assertEqual(self.run_script("get_data.sh", "math500").returncode, 0)
        self.assertEqual(len(self.rows("data/math500.jsonl")), 2)

    def test_the_set_whose_problems_are_left_out_comes_first(self):
        self.write("bin/hf", HF)
        result = self.run_script("get_data.sh", "math_train")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(sorted(row["problem"] for row in self.rows("data/math_train.jsonl")), ["2 + 3?", "2 + 8?"])
        self.assertIn("data/math500.jsonl is in place", self.run_script("get_data.sh", "math500").stdout)

    def test_a_model_whose_download_broke_is_not_in_place(self):
        self.write("bin/hf", HF)
        for hf in ("cut", "cut offline"):
            self.assertEqual(self.run_script("get_model.sh", "some/Other", hf=hf).returncode, 1)
        result = self.run_script("get_model.sh", "some/Other/")
        self.assertEqual((result.returncode, result.stdout), (0, "get_model: wrote models/Other\n"), result.stderr)
        self.assertTrue(os.path.exists(os.path.join(self.folder, "models", "Other", "chat_template.jinja")))
        self.assertIn("is in place", self.run_script("get_model.sh", "some/Other", hf="cut").stdout)
        self.assertEqual(self.run_script("get_model.sh", "unreachable/Model").returncode, 1)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "models", "Model", ".incomplete")))

    def test_without_the_tool_it_says_what_to_run(self):
        for args, line in ((("get_data.sh", "math500"), "HuggingFaceH4/MATH-500 --repo-type dataset --include '*.jsonl' "),
                           (("get_model.sh", "Qwen2.5-Math-7B"), "Qwen/Qwen2.5-Math-7B --include '*.json' ")):
            result = self.run_script(*args)
            self.assertEqual(result.returncode, 1)
            self.assertIn("\n  hf download " + line, result.stderr)
        self.assertEqual(self.run_script("get_data.sh", "math501").returncode, 2)
        self.assertEqual(self.run_script("get_model.sh", "Unknown").returncode, 2)

    def test_models_of_any_organisation(self):
        self.write("bin/hf", HF)
        for name, source in (("Qwen2.5-Math-1.5B", "Qwen/Qwen2.5-Math-1.5B"), ("some/Other", "some/Other")):
            self.assertEqual(self.run_script("get_model.sh", name).returncode, 0)
            with open(os.path.join(self.folder, "models", source.split("/")[1], "config.json"), encoding="utf-8") as file:
                self.assertEqual(file.read(), source)
        self.assertEqual(self.run_script("get_model.sh", "unreachable/Model").returncode, 1)

    def test_conversion_unboxes_drops_and_chooses(self):
        source = self.write("in.jsonl", "".join(json.dumps(row) + "\n" for row in (
            {"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "What is $1/2 + 1/2$?"}], "solution": r"first \boxed{9}, no: \boxed{\frac{2}{2}}"},
            {"prompt": "What is 1/2+1/2 ?", "solution": r"\boxed{1}"},
            {"prompt": "Held  out.", "solution": r"\boxed{1}"},
            {"prompt": "no answer", "solution": "none"},
            {"prompt": "nested", "reward_model": {"ground_truth": ["5"]}})))
        held_out = self.write("held_out.jsonl", '{"problem": "held OUT"}\n')
        args = ("--input", source, "--without", held_out, "--output", os.path.join(self.folder, "out.jsonl"))
        result = self.run_script("convert_problems.py", *args)
        self.assertIn("2 problems of 5 rows; dropped 1 without problem or answer, 1 repeated, 1 held out", result.stdout)
        rows = self.rows("out.jsonl")
        self.assertEqual([(row["problem"], row["answer"]) for row in rows], [("What is $1/2 + 1/2$?", r"\frac{2}{2}"), ("nested", "5")])
        self.assertEqual(self.run_script("convert_problems.py", *args, "--count", "1").returncode, 0)
        self.assertEqual(len(self.rows("out.jsonl")), 1)
        self.assertIn("only 2", self.run_script("convert_problems.py", *args, "--count", "3").stderr)

    def test_answers_behind_hashes(self):
        source = self.write("in.jsonl", "".join(json.dumps({"question": f"{number}?", "answer": answer}) + "\n" for number, answer in enumerate(
            ("4 + 4 = 8\n#### 8", "#### 1,234,567", "#### 3 #### -2", "no hashes: 5", "####"))))
        result = self.run_script("convert_problems.py", "--input", source, "--answer", "hashes:answer", "--output", os.path.join(self.folder, "out.jsonl"))
        self.assertIn("3 problems of 5 rows; dropped 2 without problem or answer", result.stdout, result.stderr)
        self.assertEqual([row["answer"] for row in self.rows("out.jsonl")], ["8", "1234567", "-2"])

    def test_problems_that_differ_in_a_sign_are_two(self):
        source = self.write("in.jsonl", "".join(json.dumps({"problem": problem, "answer": "1"}) + "\n" for problem in ("$x + 1 = 0$", "x+1=0.", "x - 1 = 0", "x_1 = 0", "x < 10", "x > 10")))
        result = self.run_script("convert_problems.py", "--input", source, "--output", os.path.join(self.folder, "out.jsonl"))
        self.assertIn("5 problems of 6 rows; dropped 0 without problem or answer, 1 repeated", result.stdout, result.stderr)

    def test_conversion_reads_what_sets_really_hold(self):
        source = os.path.join(self.folder, "in.json")
        out = os.path.join(self.folder, "out.jsonl")
        with open(source, "wb") as file:
            file.write(b'\xef\xbb\xbf{"id": null, "question": "a\\ud800", "answer": 0}\r\n\r\n{"id": 0, "question": "b", "answer": [1, 2]}\n{"question": "c", "answer": NaN}\n'
                       b'{"question": [{"role": "user", "content": [{"type": "image"}]}], "answer": 1}\n{"question": "kept out", "answer": 1}')
        held_out = self.write("held out.jsonl", '{"question": "Kept out!"}\n')
        result = self.run_script("convert_problems.py", "--input", source, "--without", held_out, "--output", out)
        self.assertIn("2 problems of 5 rows; dropped 2 without problem or answer, 0 repeated, 1 held out", result.stdout, result.stderr)
        self.assertEqual(self.rows("out.jsonl"), [{"id": "0", "problem": "a?", "answer": "0"}, {"id": "0", "problem": "b", "answer": "1, 2"}])

    def test_conversion_names_what_it_cannot_read(self):
        out = os.path.join(self.folder, "out.jsonl")
        for name, text, words in (("a.jsonl", '{"problem": "a"}\n{"problem', "a.jsonl:2: "), ("b.json", "[1]", "b.json: row 0 is no JSON object"),
                                  ("c.jsonl", "", "no problem with an answer in "), ("d.jsonl", None, "d.jsonl: No such file")):
            source = self.write(name, text) if text is not None else os.path.join(self.folder, name)
            said = self.run_script("convert_problems.py", "--input", source, "--output", out).stderr
            self.assertIn(words, said)
            self.assertNotIn("Traceback", said)
        source = self.write("e.jsonl", '{"problem": "a", "answer": "1"}\n')
        said = self.run_script("convert_problems.py", "--input", source, "--without", self.write("f.jsonl", '{"text": "b"}\n'), "--output", out).stderr
        self.assertIn("f.jsonl: row 0 has no problem", said)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
