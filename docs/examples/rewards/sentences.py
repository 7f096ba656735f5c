#!/usr/bin/env python3
"""A grader of sentences, with a reward between 0 and 1. A row of the data: {"problem": "Write one sentence of exactly 8 words ...", "answer": "",
"words": ["river", "old"], "length": 8}. The reward is the mean of four shares, which are the metrics: required words that occur, closeness to the length, words
that differ from all before them, and whether it is one sentence: a capital letter, only words, a full stop. English it does not know."""
import json
import re
import sys


def shares(text, words, length):
    found = re.findall(r"[a-z]+(?:['-][a-z]+)*", text.lower())
    return {
        "words": sum(word in found for word in words) / len(words),
        "length": max(0.0, 1.0 - abs(len(found) - length) / length),
        "different": len(set(found)) / max(len(found), 1),
        "sentence": float(re.fullmatch(r"[A-Z][A-Za-z', -]*\.", text.strip()) is not None),
    }


for line in sys.stdin:
    call = json.loads(line)
    parts = shares(call["completion"], call["problem"]["words"], call["problem"]["length"])
    print(json.dumps({"id": call["id"], "reward": sum(parts.values()) / len(parts), "metrics": parts}), flush=True)
