#!/usr/bin/env python3
"""Compares `grpo eval` with Hugging Face transformers sampling the same problems: temperature 0.7, top-p 0.8, top-k 20, k completions a problem. Both sample by chance, with random numbers
of their own; the same verifier judges both. Compared are the shares of right completions and the lengths of completions, with 95 % intervals of what chance alone makes of the difference.

  PYTHON scripts/check_eval.py MODEL_DIR --data problems.jsonl [--problems 50] [--samples 32] [--max-new-tokens 256] [-- OPTIONS OF grpo eval]

PYTHON is one that has torch and transformers (scripts/check_transformers.sh installs them into the cache, whose folder PYTHONPATH can name). One line a check; exit 1 where a difference
is outside its interval, which is to be expected of one check in twenty.
"""
import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from statistics import mean, variance

os.environ["HF_HUB_OFFLINE"] = "1"  # a folder is all there is; nothing is looked up elsewhere

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from checks import Checks, run_grpo


def evaluated(options, problems, work):
    """What grpo eval wrote: a row a problem."""
    call = [options.grpo, "eval", "--model", options.model, "--data", problems, "--output", work / "eval", "--samples", options.samples, "--temperature", options.temperature,
            "--top-p", options.top_p, "--top-k", options.top_k, "--max-new-tokens", options.max_new_tokens, "--seed", options.seed, "--dtype", options.dtype, "--device", "cpu",
            *options.further]
    done = subprocess.run([str(word) for word in call], capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        sys.exit(f"check_eval: grpo eval ended with {done.returncode}: {(done.stderr.strip().splitlines() or ['nothing on stderr'])[-1]}")
    return [json.loads(line) for line in (work / "eval" / "problems.jsonl").read_text(encoding="utf-8").splitlines()]


@torch.no_grad()
def sampled(options, rows):
    """Completions of transformers: a list of texts a problem."""
    transformers_logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(options.model, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=getattr(torch, options.dtype), local_files_only=True).eval()
    torch.manual_seed(options.seed)
    texts = []
    for row in rows:
        ids = torch.tensor([tokenizer.encode(row["prompt"], add_special_tokens=False)])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=options.temperature, top_p=options.top_p, top_k=options.top_k,
                             num_return_sequences=options.samples, max_new_tokens=options.max_new_tokens, pad_token_id=tokenizer.pad_token_id or 0)
        texts.append([tokenizer.decode(each[ids.shape[1]:], skip_special_tokens=True) for each in out])
    return texts


def compare(checks, name, ours, theirs, unit, scale):
    """Lists of a number a completion, a list a problem. The problems are the same, so chance is in the completions alone: a problem's mean varies by its variance over the number of
    completions, on both sides."""
    spread = math.sqrt(sum(variance(values) / len(values) for values in (*ours, *theirs))) / len(ours)
    difference = mean(map(mean, ours)) - mean(map(mean, theirs))
    # Where all completions are alike chance has nothing to say, and they must be equal.
    good = abs(difference) <= 1.96 * spread
    checks.report(good, name, f"grpo {scale * mean(map(mean, ours)):.2f} {unit}, transformers {scale * mean(map(mean, theirs)):.2f} {unit}, difference {scale * difference:+.2f} "
                              f"(chance: ± {scale * 1.96 * spread:.2f})")


def main():
    arguments, further = sys.argv[1:], []
    if "--" in arguments:
        arguments, further = arguments[:arguments.index("--")], arguments[arguments.index("--") + 1:]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL_DIR")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="JSONL with problem and answer")
    parser.add_argument("--problems", type=int, default=50, help="how many of its first rows")
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--top-p", type=float, default=0.8)
    parser.add_argument("--top-k", type=int, default=20)
    parser.add_argument("--max-new-tokens", type=int, default=256)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--grpo", default="build/bin/grpo")
    options = parser.parse_args(arguments, argparse.Namespace(further=further))
    if options.samples < 2:
        parser.error("--samples: chance is measured between completions of a problem, so at least 2")

    checks = Checks()
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        problems = work / "problems.jsonl"
        problems.write_text("".join(line + "\n" for line in options.data.read_text(encoding="utf-8").splitlines()[:options.problems]), encoding="utf-8")
        began = time.monotonic()
        rows = evaluated(options, problems, work)
        between = time.monotonic()
        texts = sampled(options, rows)
        times = between - began, time.monotonic() - between
    pairs = [{"gold": row["gold"], "pred": text} for row, mine in zip(rows, texts) for text in mine]
    judged = run_grpo(options.grpo, "verify", None, pairs)
    if isinstance(judged, str):
        sys.exit(f"check_eval: {judged}")
    verdicts = iter(judged)
    theirs = [[float(next(verdicts)["correct"]) for _ in mine] for mine in texts]
    ours = [[float(sample["verdict"] == "right") for sample in row["samples"]] for row in rows]
    print(f"check_eval: {len(rows)} problems, {options.samples} completions each, temperature {options.temperature:g}, top-p {options.top_p:g}, top-k {options.top_k}, at most "
          f"{options.max_new_tokens} tokens, {options.dtype}; grpo {times[0]:.0f} s, transformers {times[1]:.0f} s")
    compare(checks, f"mean@{options.samples}", ours, theirs, "%", 100)
    compare(checks, "length", [[float(len(sample["text"])) for sample in row["samples"]] for row in rows], [[float(len(text)) for text in mine] for mine in texts], "characters", 1)
    sys.exit(checks.failed > 0)


if __name__ == "__main__":
    main()
