#!/usr/bin/env python3
"""Inputs and habits of people who come from other trainers, end to end. Arguments: the program and the source folder."""
import gzip
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import unittest

from support import InFolder, MODEL, PROGRAM, jsonl

SUMS = [{"problem": f"{a}+1+2+3+4=", "answer": str(a + 10)} for a in range(10)]
HIDDEN, INNER, LAYERS, HEADS = 16, 32, 1, 2
SPECIAL = ["<|end|>", "<|im_start|>", "<|im_end|>"]


def byte_names():
    """The printable stand-ins that byte-level tokenizers use for the 256 bytes."""
    kept = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    names, extra = {}, 0
    for byte in range(256):
        names[byte] = chr(byte) if byte in kept else chr(256 + extra)
        extra += byte not in kept
    return names


def byte_tokenizer(special):
    vocabulary = {name: byte for byte, name in byte_names().items()}
    added = [{"id": 256 + i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
             for i, text in enumerate(special)]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {"version": "1.0", "added_tokens": added, "normalizer": None, "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level,
            "model": {"type": "BPE", "vocab": {**vocabulary, **{t["content"]: t["id"] for t in added}}, "merges": []}}


def shapes(vocabulary):
    yield "model.embed_tokens.weight", [vocabulary, HIDDEN]
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        for name, out, inner in (("self_attn.q_proj", HIDDEN, HIDDEN), ("self_attn.k_proj", HIDDEN, HIDDEN), ("self_attn.v_proj", HIDDEN, HIDDEN)):
            yield f"{prefix}{name}.weight", [out, inner]
            yield f"{prefix}{name}.bias", [out]
        yield prefix + "self_attn.o_proj.weight", [HIDDEN, HIDDEN]
        for name in ("gate_proj", "up_proj"):
            yield f"{prefix}mlp.{name}.weight", [INNER, HIDDEN]
        yield prefix + "mlp.down_proj.weight", [HIDDEN, INNER]
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{prefix}{name}.weight", [HIDDEN]
    yield "model.norm.weight", [HIDDEN]


def write_weights(path, vocabulary):
    draw, header, data = random.Random(1), {}, b""
    for name, shape in shapes(vocabulary):
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        values = struct.pack(f"<{count}f", *(1.0 if "norm" in name else draw.gauss(0, 0.05) for _ in range(count)))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


class OtherTrainers(InFolder):
    def setUp(self):
        super().setUp()
        self.rows("sums.jsonl", SUMS)

    def rows(self, name, rows):
        self.write_rows(name, rows)
        return name

    def byte_model(self, special=SPECIAL, vocabulary=259, **config):
        folder = self.path("bytes")
        os.makedirs(folder, exist_ok=True)
        values = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": vocabulary, "hidden_size": HIDDEN, "intermediate_size": INNER,
                  "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "hidden_act": "silu", "rms_norm_eps": 1e-6,
                  "max_position_embeddings": 512, "tie_word_embeddings": True, "eos_token_id": 256, "torch_dtype": "float32", **config}
        for name, content in (("config.json", values), ("tokenizer.json", byte_tokenizer(special))):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                json.dump(content, file)
        write_weights(os.path.join(folder, "model.safetensors"), vocabulary)
        return folder

    def start(self, *overrides, flags=(), data="sums.jsonl", model=MODEL, cwd=None):
        base = {"run": {"name": "run", "output": self.path("runs")}, "model": {"path": model, "template": "none", "device": "cpu"},
                "data": {"train": data, "epochs": 100}, "rollout": {"prompts_per_step": 2, "group_size": 2, "max_new_tokens": 8},
                "trainer": {"steps": 1, "threads": 1}, "checkpoint": {"every_steps": 0}, "logging": {"tensorboard": False}}
        config = self.write("config.yaml", json.dumps(base))  # JSON is YAML
        return subprocess.run([PROGRAM, "train", "--config", config, *flags, *overrides], capture_output=True, text=True, timeout=240,
                              cwd=cwd or self.folder)

    def trains(self, *overrides, **more):
        result = self.start(*overrides, **more)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stderr

    def refuses(self, *overrides, words=(), **more):
        result = self.start(*overrides, **more)
        self.assertIn(result.returncode, (1, 2), result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def rollouts(self, step=1):
        with open(self.path(f"runs/run/rollouts/step_{step:08d}.jsonl"), encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    # 04
    def test_rewards_that_differ_by_rounding_are_equal(self):
        terms = ("reward.terms=[{type: regex, pattern: '(?s).*', weight: 0.1}, {type: regex, pattern: '1', weight: 0.2}, "
                 "{type: regex, pattern: '^(?!.*1)', weight: 0.2}, {type: regex, pattern: '1', weight: 0.7}, {type: regex, pattern: '1', weight: -0.7}]")
        for advantage in ("reinforce_pp", "grpo"):
            self.trains(terms, f"algorithm.advantage={advantage}", "rollout.prompts_per_step=10", flags=("--resume", "never"))
            self.assertEqual({row["advantage"] for row in self.rollouts()}, {0.0})

    # 05
    def test_a_conversation_goes_through_the_template_whole(self):
        chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "x is 1"}, {"role": "assistant", "content": "ok"},
                {"role": "user", "content": [{"type": "text", "text": "x+"}, {"type": "text", "text": "1?"}]}, {"role": "assistant", "content": "It is "}]
        data = self.rows("chat.jsonl", [{"problem": chat, "answer": "2"}] * 3)
        log = self.trains("model.template=chatml", "reward.terms=[{type: regex, pattern: '^It is'}]", model=self.byte_model(), data=data)
        row = self.rollouts()[0]
        turn = "<|im_start|>{}\n{}<|im_end|>\n".format
        self.assertEqual(row["prompt"], turn("system", "Be brief.") + turn("user", "x is 1") + turn("assistant", "ok") + turn("user", "x+1?") +
                         "<|im_start|>assistant\nIt is ")
        self.assertEqual(row["reward"], 1.0, "the reward sees what the turn began with")
        self.assertIn("3 of 3 conversations end in a turn of the assistant's", log)
        self.trains("model.template=chatml", "data.system=none", model=self.byte_model(), data=data, flags=("--resume", "never"))
        self.assertNotIn("system", self.rollouts()[0]["prompt"])
        self.refuses("model.template=none", model=self.byte_model(), data=data, flags=("--resume", "never"), words=("chat.jsonl", "one user message"))

    def test_the_rollout_files_show_the_further_keys_of_a_row(self):
        data = self.rows("levels.jsonl", [{"problem": "1+1=", "answer": "2", "level": level, "extra": {"from": "book"}} for level in (1, 2, 3, 4)])
        self.trains("data.extra_keys=[level, extra.from]", "data.shuffle=false", data=data)
        self.assertEqual([row["fields"] for row in self.rollouts()[::2]][:2], [{"level": 1, "extra.from": "book"}, {"level": 2, "extra.from": "book"}])
        self.refuses("data.extra_keys=[lvel]", data=data, flags=("--resume", "never"), words=("levels.jsonl:1", "did you mean level?"))

    def test_prompts_that_were_templated_before_are_told(self):
        data = self.rows("twice.jsonl", [{"problem": "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n", "answer": "2"}])
        self.assertIn("1 of 1 prompts hold <|im_end|> already", self.trains("model.template=chatml", model=self.byte_model(), data=data))

    # 07, 23
    def test_golds_are_taken_out_of_solutions_and_lists(self):
        golds = ["so \\boxed{7}", "bla\n#### 7", "<answer>7</answer>", ["seven", "7"], "So $x=7$."]
        data = self.rows("golds.jsonl", [{"problem": "3+4=", "answer": gold} for gold in golds])
        log = self.trains(data=data)
        for rule in ("1 by the rule ####", "1 by the rule answer tag", "1 by the rule box", "1 by the rule math"):
            self.assertIn(rule, log)

    def test_verify_takes_a_list_of_right_answers(self):
        rows = [{"gold": ["seven", "7"], "pred": "\\boxed{7}"}, {"gold": ["8", "9"], "pred": "\\boxed{7}"}]
        text = jsonl(rows)
        result = subprocess.run([PROGRAM, "verify"], input=text, capture_output=True, text=True, timeout=60)
        self.assertEqual([json.loads(line)["correct"] for line in result.stdout.splitlines()], [True, False], result.stderr)

    def test_golds_that_nobody_can_answer_are_named(self):
        data = self.rows("golds.jsonl", SUMS + [{"problem": "1+2+3=", "answer": "Proof"}, {"problem": "2+2+3=", "answer": None}])
        self.refuses(data=data, words=("2 of 12 gold answers", "problem 10: Proof", "placeholder", "problem 11: (empty)"))
        log = self.trains("reward.max_bad_golds=0.5", "rollout.prompts_per_step=10", data=data)
        self.assertIn("warning", log)
        self.assertLessEqual({row["prompt_id"] for row in self.rollouts()}, {str(i) for i in range(10)})

    # 08, 26
    def test_the_same_data_under_another_path_continues_and_other_data_does_not(self):
        self.trains()
        os.makedirs(self.path("elsewhere"))
        shutil.copy(self.path("sums.jsonl"), self.path("elsewhere/s.jsonl"))
        self.assertIn("resumed at step 1", self.trains("trainer.steps=2", data="s.jsonl", cwd=self.path("elsewhere")))
        self.rows("sums.jsonl", SUMS[1:] + SUMS[:1])
        self.refuses("trainer.steps=3", words=("data.train", "--fork"))

    # 09
    def test_two_evaluation_sets_of_one_name_are_refused(self):
        for folder in ("a", "b"):
            os.makedirs(self.path(folder))
            self.rows(folder + "/test.jsonl", SUMS)
        self.refuses("eval.every_steps=1", "eval.data=[a/test.jsonl, b/test.jsonl]", words=("both called test",))

    def test_an_evaluation_set_that_is_trained_on_is_told(self):
        log = self.trains("eval.every_steps=1", "eval.data=sums.jsonl", "eval.samples=1")
        self.assertIn("10 of the 10 problems of sums are trained on too", log)

    # 13
    def test_the_console_says_what_a_step_did(self):
        tied = "reward.terms=[{type: regex, pattern: '(?s).*'}]"
        self.assertNotIn("no update", self.trains(tied, "algorithm.kl.coef=0.5", "optimizer.lr=0.01", "trainer.steps=2"))
        self.assertIn("no live group: no update", self.trains(tied, flags=("--resume", "never")))
        log = self.trains("reward.terms=[{type: regex, pattern: '1'}]", "algorithm.truncated=mask", "rollout.max_new_tokens=1", "rollout.prompts_per_step=10",
                          flags=("--resume", "never"))
        self.assertIn("masked: no update", log)

    # 14, 17
    def test_messages_lead_somewhere(self):
        self.refuses("rollout.top_p=0", words=("rollout.top_p", "(0, 1]"))
        self.refuses("run.output=/dev/null", words=("run.output /dev/null: is no folder",))
        self.refuses("trainer.total_epochs=3", words=("data.epochs",))
        with open(self.path("utf16.jsonl"), "w", encoding="utf-16") as file:
            file.write(json.dumps(SUMS[0]))
        self.refuses(data="utf16.jsonl", words=("UTF-16",))
        self.trains("model.template={problem}")
        os.makedirs(self.path("adapter"))
        with open(self.path("adapter/adapter_config.json"), "w", encoding="utf-8") as file:
            json.dump({"base_model_name_or_path": "some/base"}, file)
        self.refuses(model=self.path("adapter"), words=("LoRA adapter", "some/base"))

    def generate(self, *flags, rows=({"prompt": "1+1="},), model=MODEL):
        text = jsonl(rows)
        return subprocess.run([PROGRAM, "generate", "--model", model, "--max-new-tokens", "2", *flags], input=text, capture_output=True, text=True, timeout=120)

    def test_generate_takes_chat_messages_and_refuses_what_samples_nothing(self):
        for flags in (("--top-k", "-1"), ("--top-p", "0"), ("--temperature", "nan"), ("--samples", "0")):
            result = self.generate(*flags)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(flags[0] + ": expected", result.stderr)
        chat = [{"prompt": [{"role": "user", "content": "hi"}]}]
        result = self.generate("--template", "chatml", rows=chat, model=self.byte_model())
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(json.loads(result.stdout)["completions"]), 1)
        self.assertIn("\"messages\"", self.generate(rows=[{"messages": []}]).stderr)

    # 16
    def test_a_padding_token_beyond_the_embedding_is_no_obstacle_until_a_prompt_has_it(self):
        model = self.byte_model(special=SPECIAL + ["[PAD]"])
        self.trains(model=model)
        data = self.rows("pad.jsonl", [{"problem": "a [PAD] b", "answer": "2"}])
        self.trains(model=model, data=data, flags=("--resume", "never"))  # as text it has ids of its own
        self.refuses("data.allow_special_tokens=true", model=model, data=data, flags=("--resume", "never"), words=("[PAD] with id 259", "259 rows"))

    # 25
    def test_a_run_goes_on_with_less_memory_and_forks_with_more_freedom(self):
        self.trains()
        self.trains("trainer.steps=2", "trainer.micro_batch_tokens=64", "rollout.max_sequences=2")
        checkpoint = self.path("runs/run/checkpoints/step_00000002")
        self.refuses("trainer.steps=3", "optimizer.lr=0.5", words=("optimizer.lr", "--fork " + checkpoint))
        self.trains("trainer.steps=3", "optimizer.lr=0.5", "run.name=other", flags=("--fork", checkpoint))
        with open(self.path("runs/other/run.json"), encoding="utf-8") as file:
            self.assertEqual(list(json.load(file)["forked_from"]["changed"]), ["optimizer.lr"])
        self.refuses(flags=("--fork", checkpoint, "--resume", "never"), words=("exclude each other",))

    # Wanted by many
    def test_data_comes_from_folders_patterns_and_compressed_files(self):
        os.makedirs(self.path("d"))
        with gzip.open(self.path("d/part-0.jsonl.gz"), "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in SUMS[:5])
        with open(self.path("d/part-1.csv"), "w", encoding="utf-8") as file:
            file.write("problem,answer\n" + "".join(f"{row['problem']},{row['answer']}\n" for row in SUMS[5:]))
        for data in ("d", "d/part-*"):
            self.assertIn("over 10 problems", self.trains(data=data, flags=("--resume", "never")))
        self.refuses(data="d/none-*", flags=("--resume", "never"), words=("no file matches d/none-*",))

    def test_a_plan_needs_neither_data_nor_model(self):
        result = self.start(flags=("--dry-run", "--rows", "7500", "--shape", "1.5b", "--gpus", "8", "--gpu-memory", "80"), data="nowhere.jsonl", model="nowhere")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("assumed: data.train has 7500 problems", result.stdout)
        self.refuses(flags=("--rows", "7500"), words=("--dry-run",))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
