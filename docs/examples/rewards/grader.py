#!/usr/bin/env python3
"""A grader: a JSON object a line in, a JSON object a line out. 1 for the right number, less the further off the last one is."""
import json
import re
import sys

for line in sys.stdin:
    call = json.loads(line)
    gold = float(call["gold"])
    numbers = re.findall(r"-?\d+(?:\.\d+)?", call["completion"])
    reward = 0.0
    if numbers:
        distance = abs(float(numbers[-1]) - gold) / max(abs(gold), 1.0)
        reward = max(0.0, 1.0 - distance)
    answer = {"id": call["id"], "reward": reward, "metrics": {"answered": int(bool(numbers))}}
    print(json.dumps(answer), flush=True)
