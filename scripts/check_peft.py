#!/usr/bin/env python3
"""Compares a folder of adapters as `grpo` reads it with the same folder in peft (float32, CPU): that it loads there, and that the
log-probabilities agree, of the adapters on their base and, with --merged, of the model that grpo made of both.

  check_peft.py ADAPTER_DIR --grpo build/bin/grpo [--merged MODEL_DIR]

Needs torch, transformers and peft (pip install torch transformers peft). One line a check; exit 1 on a difference.
"""
import argparse
import json
import os
import pathlib
import random
import sys

os.environ["HF_HUB_OFFLINE"] = "1"  # folders are all there is; nothing is looked up elsewhere

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from checks import Checks, run_grpo

SEQUENCE_LENGTHS = [2, 3, 17, 64, 65, 200]


def log_probs(model, ids):
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
    return logits.log_softmax(-1).gather(-1, torch.tensor(ids)[1:, None])[:, 0]


def load(folder, checks):
    base = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    base = base if pathlib.Path(base).exists() else folder / base
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, local_files_only=True)
    plain = [log_probs(model, ids) for ids in sequences(model.config.vocab_size)]
    model = PeftModel.from_pretrained(model, folder, autocast_adapter_dtype=False).float().eval()
    factors = [value for name, value in model.named_parameters() if "lora_" in name]
    checks.report(bool(factors), "load", f"{len(factors)} factors, {sum(f.numel() for f in factors)} elements")
    return model, plain


def sequences(vocabulary):
    draw = random.Random(0)
    return [[draw.randrange(vocabulary) for _ in range(length)] for length in SEQUENCE_LENGTHS]


def compare(checks, name, grpo, folder, rows, expected, tolerance):
    scored = run_grpo(grpo, "score", str(folder), [{"ids": ids} for ids in rows], ["--dtype", "float32", "--device", "cpu"])
    if isinstance(scored, str):
        return checks.report(False, name, scored)
    for ids, row in zip(rows, scored):
        if len(row["logprobs"]) != len(ids) - 1:
            return checks.report(False, name, f"{len(row['logprobs'])} log-probabilities of {len(ids)} ids")
    # Of one tensor: a NaN among numbers gets past Python's max, and not past torch's.
    differences = torch.cat([torch.tensor(row["logprobs"]) - logs for row, logs in zip(scored, expected)]).abs()
    worst = differences.max().item()
    checks.report(worst <= tolerance, name, f"largest difference of a log-probability {worst:.2e}, allowed {tolerance:.0e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapters", type=pathlib.Path)
    parser.add_argument("--grpo", default="build/bin/grpo")
    parser.add_argument("--merged", type=pathlib.Path, help="what `grpo checkpoint export --merged` wrote")
    parser.add_argument("--tolerance", type=float, default=2e-4)
    options = parser.parse_args()
    checks = Checks()
    model, plain = load(options.adapters, checks)
    rows = sequences(model.config.vocab_size)
    expected = [log_probs(model, ids) for ids in rows]
    moved = max((a - b).abs().max().item() for a, b in zip(expected, plain))
    checks.report(moved > 0, "effect", f"the adapters change a log-probability by up to {moved:.3g}")
    compare(checks, "score", options.grpo, options.adapters, rows, expected, options.tolerance)
    if options.merged:
        compare(checks, "merged", options.grpo, options.merged, rows, expected, options.tolerance)
    sys.exit(checks.failed > 0)


main()
