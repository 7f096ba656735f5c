#!/usr/bin/env python3
"""Compares a model folder as `grpo` reads it with the same folder in Hugging Face transformers (float32, CPU).

  check_transformers.py MODEL_DIR --grpo build/bin/grpo

Needs torch and transformers; scripts/check_transformers.sh installs and calls it.
"""
import argparse
import json
import os
import random
import sys

os.environ["HF_HUB_OFFLINE"] = "1"  # a folder is all there is; nothing is looked up elsewhere

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from checks import Checks, run_grpo

TEXTS = [
    "The capital of France is Paris.",
    "What is 3 + 4? Answer with just the number.",
    "def mean(xs):\n    return sum(xs) / len(xs)  # 12345.678\n",
    "  two leading spaces,\ttabs,\r\nand trailing ones   ",
    "I'll say we're done; it's 1,000,000 o'clock, isn't it?",
    "Zażółć gęślą jaźń, 数学の問題を解く, Привет, مرحبا, e\u0301 = é",
    "x² + y² ≤ r²  →  \\boxed{\\frac{3}{4}} 🙂👩‍👩‍👧 ½",
    "",
]
SEQUENCE_LENGTHS = [2, 3, 17, 64, 65, 200]
SMALL_MODEL = 5_000_000  # parameters; below it log-probs of random test models agree much closer


def load_model(folder, checks):
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, output_loading_info=True)
    problems = {key: sorted(map(str, value)) for key, value in info.items() if value}
    count = sum(parameter.numel() for parameter in model.parameters())
    checks.report(not problems, "load", f"{type(model).__name__}, {count} parameters, {problems or 'every weight in its place'}")
    return model.eval(), count


def load_tokenizers(folder):
    """Name -> (encode, decode), of every kind of tokenizer the folder has. Neither adds BOS or EOS."""
    kinds = {}
    path = os.path.join(folder, "tokenizer.json")
    if os.path.exists(path):
        raw = Tokenizer.from_file(path)
        kinds["tokenizer.json"] = (lambda text: raw.encode(text, add_special_tokens=False).ids,
                                   lambda ids: raw.decode(ids, skip_special_tokens=False))
    if kinds or os.path.exists(os.path.join(folder, "tokenizer.model")):
        auto = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        kinds["AutoTokenizer"] = (
            lambda text: auto.encode(text, add_special_tokens=False),
            lambda ids: auto.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))
        specials = auto.all_special_tokens
    return kinds, (TEXTS + ["".join(f"{token} and\n" for token in specials)] if kinds else [])


def check_tokenizers(grpo, folder, kinds, texts, checks):
    rows = run_grpo(grpo, "tokenize", folder, [{"text": text} for text in texts])
    if isinstance(rows, str):
        checks.report(False, "tokenize", rows)
        return
    for name, (encode, decode) in kinds.items():
        for what, key, expected in (
                ("ids", "ids", [encode(text) for text in texts]),
                ("decoded", "decoded", [decode(encode(text)) for text in texts])):
            wrong = [i for i, row in enumerate(rows) if row.get(key) != expected[i]]
            detail = f"{len(texts) - len(wrong)} of {len(texts)} texts equal"
            if wrong:
                first = wrong[0]
                detail += f"; {texts[first]!r}: expected {expected[first]!r}, got {rows[first].get(key)!r}"
            checks.report(not wrong, f"tokenize, {what} of {name}", detail)


def make_sequences(seed, vocabulary, longest):
    rng = random.Random(seed)
    lengths = [length for length in SEQUENCE_LENGTHS if length <= longest]
    return [(f"random[{length}]", [rng.randrange(vocabulary) for _ in range(length)]) for length in lengths]


@torch.no_grad()
def reference_log_probs(model, ids):
    """log p(ids[t] | ids[<t]) for t >= 1."""
    logits = model(torch.tensor([ids])).logits[0, :-1].float()
    return torch.log_softmax(logits, -1).gather(-1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()


def check_log_probs(grpo, folder, model, sequences, tolerance, checks):
    rows = run_grpo(grpo, "score", folder, [{"ids": ids} for _, ids in sequences], ["--dtype", "float32", "--device", "cpu"])
    if isinstance(rows, str):
        checks.report(False, "score", rows)
        return
    for (name, ids), row in zip(sequences, rows):
        expected, got = reference_log_probs(model, ids), row.get("logprobs")
        if not isinstance(got, list) or len(got) != len(expected) or not all(isinstance(x, (int, float)) for x in got):
            checks.report(False, f"score, {name}", f"expected {len(expected)} numbers in 'logprobs', got {got!r:.80}")
            continue
        differences = [abs(a - b) for a, b in zip(expected, got)]
        # A NaN compares false with everything, so the test is that all are small, not that none is large.
        good = all(difference <= tolerance for difference in differences)
        checks.report(good, f"score, {name}",
                      f"max |difference| {max(differences):.2e} of {len(ids) - 1} log-probs (allowed {tolerance:.0e})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL_DIR")
    parser.add_argument("--grpo", default="build/bin/grpo")
    parser.add_argument("--tolerance", type=float, help="largest difference of a log-prob; default 5e-4, tiny models 5e-5")
    parser.add_argument("--seed", type=int, default=1, help="of the random token sequences")
    args = parser.parse_args()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    if not os.path.exists(os.path.join(args.model, "config.json")):
        parser.error(f"{args.model} has no config.json; expected a Hugging Face model folder")

    checks = Checks()
    model, parameters = load_model(args.model, checks)
    tolerance = (5e-5 if parameters < SMALL_MODEL else 5e-4) if args.tolerance is None else args.tolerance
    kinds, texts = load_tokenizers(args.model)
    sequences = make_sequences(args.seed, model.config.vocab_size, model.config.max_position_embeddings)
    if kinds:
        check_tokenizers(args.grpo, args.model, kinds, texts, checks)
        encode = next(iter(kinds.values()))[0]
        encoded = ((f"text {i}", encode(text)) for i, text in enumerate(texts))
        sequences += [(name, ids) for name, ids in encoded if 2 <= len(ids) <= model.config.max_position_embeddings]
    check_log_probs(args.grpo, args.model, model, sequences, tolerance, checks)
    print(f"check_transformers: {args.model}: " + (f"{checks.failed} checks failed" if checks.failed else "all checks passed"))
    sys.exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main()
