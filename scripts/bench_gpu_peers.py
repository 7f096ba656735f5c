#!/usr/bin/env python3
"""The peers' side of the benchmarks on a GPU: transformers' generate, a GRPO step in plain PyTorch, and, where they are installed,
vLLM's decoding and TRL's step.

  scripts/bench_gpu_peers.py [--tiny] [--device cpu]

Random weights in the shape of Qwen2.5-1.5B, bf16, prompts and lengths as in tests/rollout/gpu_rollout_bench.cpp and, for the step,
`grpo_step_bench 1.5b-short bf16`. Prints one JSON line a measurement. The time of a decode step is what 144 new tokens take longer than
16, by step, so that prefill does not count. --tiny --device cpu shows on any machine that this program works.
"""
import argparse
import importlib.util
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as functional
from transformers import PreTrainedTokenizerFast

sys.path.append(str(Path(__file__).resolve().parent / "gpu"))
from random_model import QWEN_1_5B, TINY, random_model

SHORT, LONG = 16, 144


def installed(name):
    return importlib.util.find_spec(name) is not None


def prompts(count, tokens, vocabulary):
    return [[100 + (i * 7919 + t * 104729) % (vocabulary - 100) for t in range(tokens)] for i in range(count)]


class Decoding:
    """Seconds of a decode step, by peer."""

    def __init__(self, options, shape):
        self.device, self.shape = options.device, shape
        self.context = 128 if options.tiny else 1024
        self.sequences = (4,) if options.tiny else (64, 256)

    def report(self, peer, sequences, generate):
        def timed(new):
            wait(self.device)
            start = time.perf_counter()
            generate(new)
            wait(self.device)
            return time.perf_counter() - start

        timed(SHORT)
        step = (timed(LONG) - timed(SHORT)) / (LONG - SHORT)
        print_line(bench="decode of peers", peer=peer, model="tiny" if self.shape is TINY else "1.5b", sequences=sequences,
                   context=self.context, step_ms=1e3 * step, tokens_per_s=sequences / step)

    def rows(self, sequences):
        return prompts(sequences, self.context - LONG // 2, self.shape["vocab_size"])

    def run_transformers(self, model):
        for sequences in self.sequences:
            ids = torch.tensor(self.rows(sequences), device=self.device)

            @torch.no_grad()
            def generate(new):
                model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, min_new_tokens=new, do_sample=True, top_k=0)

            self.report("transformers", sequences, generate)

    def run_vllm(self, folder):
        from vllm import LLM, SamplingParams

        llm = LLM(folder, skip_tokenizer_init=True, dtype="bfloat16", max_model_len=8192, enable_prefix_caching=False)
        for sequences in (*self.sequences, 512):
            rows = [{"prompt_token_ids": ids} for ids in self.rows(sequences)]

            def generate(new):
                llm.generate(rows, SamplingParams(temperature=1.0, max_tokens=new, ignore_eos=True, detokenize=False), use_tqdm=False)

            self.report("vllm", sequences, generate)


class PlainGrpo:
    """A GRPO step as it is written with PyTorch and transformers alone: sample pairs, judge them, clipped loss, AdamW in bf16."""

    def __init__(self, model, options):
        self.model, self.device = model, options.device
        self.pairs, self.prompt, self.new, self.rows_at_once = (4, 16, 16, 4) if options.tiny else (32, 128, 256, 16)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, weight_decay=0.0, fused=options.device == "cuda")

    def sample(self):
        rows = prompts(self.pairs, self.prompt, self.model.config.vocab_size)
        ids = torch.tensor([row for row in rows for _ in range(2)], device=self.device)
        with torch.no_grad():
            return self.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=self.new, min_new_tokens=self.new, do_sample=True, top_k=0)

    def advantages(self, sampled):
        rewards = (sampled.sum(1) % 2).float().view(-1, 2)  # a coin, so half of the pairs are tied
        return ((rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, correction=0, keepdim=True) + 1e-6)).flatten()

    def update(self, sampled, advantages):
        for rows, advantage in zip(sampled.split(self.rows_at_once), advantages.split(self.rows_at_once)):
            logits = self.model(rows, logits_to_keep=self.new + 1).logits[:, :-1]
            log_probs = -functional.cross_entropy(logits.float().flatten(0, 1), rows[:, -self.new:].flatten(), reduction="none").view(len(rows), -1)
            ratio = (log_probs - log_probs.detach()).exp()
            gain = torch.minimum(ratio * advantage[:, None], ratio.clamp(0.8, 1.28) * advantage[:, None])
            (-gain.sum() / (len(sampled) * self.new)).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def step(self):
        """Seconds of sampling and of the update."""
        marks = [now(self.device)]
        sampled = self.sample()
        marks.append(now(self.device))
        self.update(sampled, self.advantages(sampled))
        marks.append(now(self.device))
        return marks[1] - marks[0], marks[2] - marks[1]

    def report(self, name):
        self.step()
        rollout, update = min((self.step() for _ in range(2)), key=sum)
        print_line(bench="grpo step of peers", peer="plain PyTorch", model=name, rollouts=2 * self.pairs, prompt=self.prompt, new_tokens=self.new,
                   step_s=rollout + update, rollout_s=rollout, update_s=update)


def now(device):
    wait(device)
    return time.perf_counter()


def wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


def print_line(**fields):
    print(json.dumps(fields), flush=True)


def word_tokenizer(vocabulary, folder):
    """Every id is a word of its own, so that prompts of given ids can be written."""
    words = {f"t{i}": i for i in range(vocabulary)}
    file = Path(folder, "tokenizer.json")
    file.write_text(json.dumps({"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "WhitespaceSplit"}, "normalizer": None,
                                "post_processor": None, "decoder": None,
                                "model": {"type": "WordLevel", "vocab": words, "unk_token": "t0"}}))
    return PreTrainedTokenizerFast(tokenizer_file=str(file), pad_token="t0", eos_token="t1", unk_token="t0", padding_side="left")


def run_trl(options, shape):
    """As `grpo_step_bench 1.5b-short bf16`: pairs whose completions all reach the length limit, half of them tied by a coin."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    pairs, prompt_tokens, new_tokens, steps = (4, 16, 16, 3) if options.tiny else (32, 128, 256, 4)
    marks = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_, **__):
            wait(options.device)
            marks.append(time.perf_counter())

        def on_step_end(self, *_, **__):
            wait(options.device)
            marks.append(time.perf_counter())

    def coin(completions, **_):
        return [float(hash(text) % 2) for text in completions]

    with tempfile.TemporaryDirectory() as folder:
        tokenizer = word_tokenizer(shape["vocab_size"], folder)
        model = random_model(shape, options.device)
        rows = [{"prompt": " ".join(f"t{i}" for i in ids)} for ids in prompts(pairs * steps, prompt_tokens, shape["vocab_size"])]
        accumulation = 1 if options.tiny else 4
        config = GRPOConfig(output_dir=folder, per_device_train_batch_size=2 * pairs // accumulation, gradient_accumulation_steps=accumulation,
                            num_generations=2, max_completion_length=new_tokens, num_iterations=1, beta=0.0, learning_rate=1e-6,
                            lr_scheduler_type="constant", temperature=1.0, max_steps=steps, save_strategy="no", report_to=[], seed=1,
                            use_cpu=options.device == "cpu", bf16=False, gradient_checkpointing=not options.tiny, disable_tqdm=True)
        GRPOTrainer(model=model, reward_funcs=coin, args=config, processing_class=tokenizer, callbacks=[Clock()],
                    train_dataset=Dataset.from_list(rows)).train()
    seconds = [end - begin for begin, end in zip(marks[::2], marks[1::2])]
    print_line(bench="grpo step of peers", peer="trl", model="tiny" if options.tiny else "1.5b-short", rollouts=2 * pairs, prompt=prompt_tokens,
               new_tokens=new_tokens, step_s=statistics.median(seconds[1:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a small shape")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    options = parser.parse_args()
    shape = TINY if options.tiny else QWEN_1_5B
    torch.manual_seed(0)
    decoding = Decoding(options, shape)
    model = random_model(shape, options.device).eval()
    decoding.run_transformers(model)
    PlainGrpo(model, options).report("tiny" if options.tiny else "1.5b-short")
    if installed("trl"):
        run_trl(options, shape)
    else:
        print_line(bench="grpo step of peers", peer="trl", skipped="not installed here")
    if options.device == "cpu" or not installed("vllm"):
        print_line(bench="decode of peers", peer="vllm", skipped="not installed here" if options.device == "cuda" else "needs a GPU")
        return
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        del model
        torch.cuda.empty_cache()
        decoding.run_vllm(folder)


main()
