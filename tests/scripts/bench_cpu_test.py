#!/usr/bin/env python3
"""scripts/bench_cpu.py with programs that stand for ours and for the peers. Argument: the source folder."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

SOURCE = Path(sys.argv[1])
sys.path.append(str(SOURCE / "scripts" / "cpu"))
import decode_race  # noqa: E402
import environments  # noqa: E402
import limits  # noqa: E402
import own_speed  # noqa: E402
import programs  # noqa: E402

TOKENS = [*dict.fromkeys(decode_race.QUESTION), "ĠParis", "ĠRome"]
CONFIG = {"hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 16, "num_hidden_layers": 2, "vocab_size": 32}
# SECONDS, MEMORY, SAYS, SHORT and, of ours, FLOPS stand before it.
SERVER = r"""
    for line in sys.stdin:
        what, *numbers = line.split()
        reply = dict(wall_s=SECONDS, peak_rss_mb=MEMORY)
        if what == "answer":
            reply |= dict(ids=[SAYS] * int(numbers[0]))
        elif what == "limits":
            reply |= dict(flops=FLOPS, bytes=1e9)
        else:
            reply |= dict(tokens=int(numbers[0]) * int(numbers[1]) - SHORT, first_s=SECONDS / 2, decode_steps=int(numbers[1]) - 1)
        print(json.dumps(reply), flush=True)
"""
OURS = "#!{python}\nimport json, sys\nSECONDS, MEMORY, SAYS, SHORT, FLOPS = 1.0, 1024, {paris}, 0, 5e7\nif True:" + SERVER
GRPO = r"""#!{python}
import json, pathlib, sys
keys = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
run = pathlib.Path(keys["run.output"], pathlib.Path(sys.argv[sys.argv.index("--config") + 1]).stem)
run.mkdir(parents=True, exist_ok=True)
seconds = int(keys["rollout.prompts_per_step"]) / 8
lines = [{"time/step": 9.0 if step == 0 else 1.0 + seconds, "time/checkpoint": 1.0, "memory/peak_bytes": 2 ** 30} for step in range(int(keys["trainer.steps"]))]
(run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
"""
PEERS = r"""#!{python}
import json, pathlib, sys
if sys.argv[1].endswith("write_gguf.py"):
    for word in sys.argv[3:]:
        pathlib.Path(word.partition("=")[2]).touch()
    sys.exit()
SECONDS, MEMORY, SAYS, SHORT = 4.0, 4096, {paris}, 0
if "trl" in sys.argv:
    print("a warning of the peer's")
    print(json.dumps(dict(steps_s=[9.0] + [10.0] * (int(sys.argv[7]) - 1), peak_rss_mb=MEMORY)))
else:""" + SERVER


class BenchCpu(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.peers = self.folder / "cache" / "bench-peers"
        for name, text in (("grpo", GRPO), ("grpo_decode_bench", OURS), ("model/config.json", json.dumps(CONFIG))):
            self.write(self.folder / name, text)
        for name in ("venv", "llama.cpp", "llama.cpp-native", "vllm"):
            self.write(self.peers / name / "bin" / "python", PEERS)
            self.write(self.peers / name / ".complete", "")
        tokenizer = {"model": {"vocab": {token: place for place, token in enumerate(TOKENS)}}, "added_tokens": []}
        self.write(self.folder / "model" / "tokenizer.json", json.dumps(tokenizer))

    def write(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{python}", sys.executable).replace("{paris}", str(TOKENS.index("ĠParis"))))
        path.chmod(0o755)

    def change(self, peer, old, new):
        path = self.peers / peer / "bin" / "python"
        path.write_text(path.read_text().replace(old, new))

    def run_script(self, *args):
        command = [sys.executable, SOURCE / "scripts" / "bench_cpu.py", "--grpo", self.folder / "grpo", "--model", self.folder / "model", "--json", self.folder / "out.json", *args]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "GRPO_CACHE": str(self.folder / "cache")})

    def report(self):
        return json.loads((self.folder / "out.json").read_text())

    def test_it_says_what_it_does_and_what_came_out(self):
        result = self.run_script("--dtypes", "bf16", "--repetitions", "2", "--steps", "3", "--batches", "1", "32")
        self.assertEqual(result.returncode, 0, result.stderr)
        said = [line.split("] ", 1)[1] for line in result.stderr.splitlines()]
        self.assertRegex(said[0], r"^in bf16: decode at batch 1, 32 of ours bf16, transformers bf16, llama.cpp-native bf16, llama.cpp-native q8_0, vllm bf16; then the gradient against "
                                  r"transformers \(2 repetitions behind one to warm up\); then GRPO steps at G=2 and G=16 against TRL \(2 runs of 3 steps\)\. About \d+ minutes on two cores")
        self.assertIn(f"vllm bf16 says: '{' Paris' * 12}'", said)
        self.assertEqual(sum(line.startswith("batch 32, ours bf16: ") for line in said), 2)
        self.assertEqual(sum(line.startswith("gradient bf16, theirs: 4.0 s") for line in said), 3)
        self.assertIn("step G=2 bf16, theirs: 10.0 s a step (run 1 of 2)", said)
        report = self.report()
        self.assertEqual([(line["what"], line["ratio"]) for line in report["lines"]], [("gradient", 4.0), ("step G=2", 5.0), ("step G=16", 40.0)])
        self.assertEqual([(line["batch"], line["peer"], line["tokens_per_s"]) for line in report["decode"]["lines"] if line["batch"] == 32][:2],
                         [(32, "ours", [2048.0, 2048.0]), (32, "transformers", [512.0, 512.0])])
        self.assertAlmostEqual(report["lines"][0]["limit"], 3072 / limits.gradient_seconds(limits.Shape(CONFIG), 32, 96, 64, 5e7))
        self.assertIn("| 3,072 (3,072-3,072) tok/s, 106 % of products at 0 GFLOP/s | 768 (768-768) tok/s | 4.00x |", result.stdout)
        self.assertIn("| llama.cpp-native q8_0 | 16 (16-16), ", result.stdout)
        self.assertIn("| limit in q8_0 | ", result.stdout)

    def test_below_avx512_llama_cpp_is_the_one_compiled_for_avx2(self):
        self.run_script("--dtypes", "bf16", "--parts", "decode", "--isa", "avx2", "--batches", "1")
        self.assertEqual([(line["peer"], line["dtype"]) for line in self.report()["decode"]["lines"]],
                         [("ours", "bf16"), ("transformers", "bf16"), ("llama.cpp", "bf16"), ("llama.cpp", "q8_0"), ("vllm", "bf16")])

    def test_a_missed_target_fails(self):
        self.change("llama.cpp-native", "SECONDS, MEMORY, SAYS, SHORT = 4.0", "SECONDS, MEMORY, SAYS, SHORT = 1.5")
        result = self.run_script("--dtypes", "bf16", "--parts", "decode", "--batches", "1", "32")
        self.assertEqual(result.returncode, 1)
        self.assertIn("missed: decode at batch 32, llama.cpp-native bf16: 1.50x, target 2x; decode at batch 32, llama.cpp-native q8_0: 1.50x, target 2x", result.stderr)

    def test_a_gradient_far_below_its_products_fails(self):
        self.write(self.folder / "grpo_decode_bench", OURS.replace("5e7", "1e8"))
        result = self.run_script("--dtypes", "fp32", "--parts", "gradient")
        self.assertEqual(result.returncode, 1)
        self.assertIn("missed: gradient fp32: 53 % of a large product's rate, target 90 %", result.stderr)

    def test_who_answers_wrongly_or_cannot_start_does_not_take_part(self):
        self.change("venv", f"SAYS, SHORT = 4.0, 4096, {TOKENS.index('ĠParis')}", f"SAYS, SHORT = 4.0, 4096, {TOKENS.index('ĠRome')}")
        self.write(self.peers / "vllm" / "bin" / "python", "#!/bin/sh\necho no such instruction >&2\nexit 4\n")
        result = self.run_script("--dtypes", "bf16", "--parts", "decode", "--batches", "1")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("transformers bf16 did not take part: transformers bf16: the answer is not Paris", result.stdout)
        self.assertRegex(result.stdout, r"vllm bf16 did not take part: .*ended with exit code 4 at: answer 12 .*\nno such instruction")
        self.assertEqual({line["peer"] for line in self.report()["decode"]["lines"]}, {"ours", "llama.cpp-native"})

    def test_tokens_that_did_not_come_back_end_the_race(self):
        self.change("vllm", "{0}, 0".format(TOKENS.index("ĠParis")), "{0}, 1".format(TOKENS.index("ĠParis")))
        result = self.run_script("--dtypes", "bf16", "--parts", "decode", "--batches", "8")
        self.assertEqual(result.returncode, 1)
        self.assertIn("vllm bf16: 15 tokens came back, and 8 x 2 were asked for", result.stderr)

    def test_tail_and_growth_are_of_ours(self):
        result = self.run_script("--dtypes", "bf16", "--parts", "tail", "growth", "--quick", "--repetitions", "1")
        self.assertEqual(result.returncode, 0, result.stderr)
        report = self.report()
        self.assertEqual([(line["alive"], line["tokens_per_s"]) for line in report["tail"]["lines"]], [(alive, [alive * 64.0]) for alive in (1, 2, 4, 8, 16, 32)])
        steps = [line for line in report["growth"] if line["what"] == "GRPO step, G=2"]
        self.assertEqual([[point["size"] for point in line["points"]] for line in steps], [[8, 32, 128, 512, 2048], [8, 32, 128]])
        self.assertAlmostEqual(steps[0]["exponent"], 1.0)
        self.assertAlmostEqual(steps[0]["exponent_memory"], 0.0)

    def test_why_a_program_ended_is_said(self):
        (self.folder / "grpo_decode_bench").write_text("#!/bin/sh\necho no such shape >&2\nexit 3\n")
        for part, command in (("decode", "answer 12"), ("gradient", "gradient 32 96"), ("tail", "limits")):
            result = self.run_script("--dtypes", "bf16", "--parts", part)
            self.assertEqual(result.returncode, 1)
            self.assertRegex(result.stderr, rf"grpo_decode_bench ended with exit code 3 at: {command}.*\nno such shape")

    def test_what_cannot_work_is_said_at_once(self):
        for args, words in ((("--steps", "1"), "--steps is at least 2"), (("--json", "/nowhere/out.json"), "/nowhere/out.json: no such folder"),
                            (("--grpo", "/nowhere/grpo"), "no grpo_decode_bench")):
            result = self.run_script(*args)
            self.assertEqual(result.returncode, 2)
            self.assertIn(words, result.stderr)


class Limits(unittest.TestCase):
    SHAPE = limits.Shape(CONFIG)

    def test_the_products_of_a_model_are_counted(self):
        # Two layers: queries and output 8 x 8 each, keys and values 8 x 4 each, three of 8 x 16; and a head of 8 x 32.
        self.assertEqual(self.SHAPE.weights(), 2 * (2 * 64 + 2 * 32 + 3 * 128) + 256)

    def test_one_sequence_waits_for_memory_and_many_for_products(self):
        one = limits.step_seconds(self.SHAPE, 1, 0, "bf16", flops=1e9, bandwidth=1e8)
        many = limits.step_seconds(self.SHAPE, 100, 0, "bf16", flops=1e9, bandwidth=1e8)
        self.assertEqual(one, (2 * 1408 / 1e9, 2 * 1408 / 1e8))
        self.assertEqual(many, (200 * 1408 / 1e9, 2 * 1408 / 1e8))
        self.assertEqual(limits.decode_limit(self.SHAPE, 1, 64, 64, "bf16", 1e9, 1e8)[1], "memory")
        self.assertEqual(limits.decode_limit(self.SHAPE, 100, 64, 64, "bf16", 1e9, 1e9)[1], "compute")

    def test_a_gradient_is_three_times_the_forward_pass(self):
        # Of two rows of three tokens with one loss each: the layers' weights, and keys and values of one, two and three places for two heads of 4 in two layers.
        forward = 2 * (3 * (1408 - 256) + 2 * (1 + 2 + 3) * 8 * 2 + 256)
        self.assertEqual(limits.gradient_seconds(self.SHAPE, 2, 3, 1, flops=2.0), 3 * forward)

    def test_an_exponent_is_the_slope_of_logarithms(self):
        self.assertAlmostEqual(limits.slope([8, 32, 128], [3 * size ** 1.5 for size in (8, 32, 128)]), 1.5)

    def test_a_rate_is_that_of_the_faster_way(self):
        self.assertEqual(decode_race.rate_of({"flops": {"bf16": 3.0, "fp32": 5.0}}, "bf16"), 5.0)
        self.assertEqual(decode_race.rate_of({"flops": {"bf16": 9.0, "fp32": 5.0}}, "fp32"), 5.0)
        self.assertEqual(decode_race.rate_of({"flops": {"bf16": 9.0, "fp32": 5.0}}, "q8_0"), 9.0)


class Peers(unittest.TestCase):
    def test_a_program_that_does_not_answer_is_ended(self):
        server = programs.Server([sys.executable, "-c", "import time; time.sleep(60)"])
        with self.assertRaisesRegex(programs.Ended, "gave no answer in 0 s to: answer"):
            server.ask("answer", patience_s=0.2)
        self.assertEqual(server.process.wait(), -9)

    def test_quick_leaves_out_what_takes_long(self):
        options = SimpleNamespace(quick=True, repetitions=3, batches=[1, 128], new_tokens=64, dtypes=["bf16"], peers=["llama.cpp"], isa=None)
        self.assertEqual([decode_race.repetitions_of(options, batch) for batch in (1, 8, 32)], [3, 3, 2])
        self.assertTrue(decode_race.fits(options, 150.0) and not decode_race.fits(options, 151.0))
        longer = SimpleNamespace(**vars(options) | {"quick": False})
        program = decode_race.Program("ours", "bf16")
        self.assertLess(decode_race.estimate(options, program), decode_race.estimate(longer, program))

    def test_vllm_is_installed_with_the_torch_that_the_registry_has(self):
        lines = ["regex", 'pandas; extra == "bench"', 'torch==2.13.0+cpu; platform_machine == "x86_64"', 'torch==2.13.0; platform_system == "Darwin"']
        self.assertEqual(environments.vllm_requirements(lines), ["regex", "torch==2.13.0"])

    def test_ids_are_read_as_text(self):
        self.assertEqual(decode_race.text_of([0, 1, 0], {0: "Ġa", 1: "Ċ"}), " a\n a")
        self.assertEqual(decode_race.question_of({0: "user"}), [])

    def test_sizes_grow_fourfold(self):
        options = SimpleNamespace(quick=True, model="m", dtypes=["bf16"])
        self.assertEqual({growth.sizes for growth in own_speed.growths(options)}, {(8, 32, 128, 512, 2048), (8, 32, 128, 512), (8, 32, 128), (64, 256, 1024, 4096), (64, 256, 1024)})


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
