#!/usr/bin/env python3
"""Prints the table of docs/distributed.md: what `grpo-train --dry-run --gpus N --gpu-memory 80` plans for three models.
Usage: scripts/plan_table.py [PROGRAM]      default: build/bin/grpo-train"""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
GPUS = (1, 8, 64, 256, 1024)
COLUMNS = ("model", "GPUs", "peak of 80 GB", "step", "rollout", "update", "communication", "sent by a rank", "limit")


def qwen2(hidden, intermediate, layers, heads, kv_heads, vocabulary, tied):
    return {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_size": hidden, "intermediate_size": intermediate,
            "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv_heads, "vocab_size": vocabulary,
            "max_position_embeddings": 8192, "rope_theta": 1000000.0, "rms_norm_eps": 1e-6, "tie_word_embeddings": tied,
            "hidden_act": "silu", "torch_dtype": "bfloat16", "eos_token_id": 151643}


# The shapes of Qwen2.5, with the batch and lengths of qwen1.5b_2grpo: 256 prompts of two completions, 1,024 + 4,096 tokens.
MODELS = {"1.5B": qwen2(1536, 8960, 28, 12, 2, 151936, True), "7B": qwen2(3584, 18944, 28, 28, 4, 152064, False),
          "32B": qwen2(5120, 27648, 64, 40, 8, 152064, False)}


def found(pattern, text):
    match = re.search(pattern, text)
    return match[1] if match else "-"


def row(program, folder, model, gpus):
    command = [program, "--config", "qwen1.5b_2grpo", "--dry-run", "--gpus", str(gpus), "--gpu-memory", "80", f"model.path={folder / model}",
               f"data.train=[{folder / 'problems.jsonl'}]", "eval.every_steps=0", f"run.output={folder / 'runs'}"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=SOURCE)
    if result.returncode != 0:
        sys.exit(result.stderr)
    plan = result.stdout
    peak = "{:.0f} GB".format(max(float(value) for value in re.search(r"peak: rollout ([\d.]+) GB, update ([\d.]+) GB", plan).groups()))
    cells = [model, f"{gpus:,}", peak + (" (does not fit)" if "does not fit" in plan else ""), found(r"time: (.+?) a step", plan),
             found(r"\(rollout (.+?), update", plan), found(r", update (.+?)[,)]", plan), found(r"communication (.+?)\)", plan),
             found(r"traffic: ([\d.]+ GB)", plan), found(r"limit: (.+?)(?:, each reading all weights)?[;\n]", plan)]
    idle = found(r"idle: (\d+) of", plan)
    if idle != "-":
        cells[-1] += f"; {idle} ranks without a prompt"
    return "| " + " | ".join(cells) + " |"


def main():
    program = str(Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else SOURCE / "build" / "bin" / "grpo-train")
    if not Path(program).exists():
        sys.exit(f"plan_table: there is no {program}; scripts/build.sh builds it")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "problems.jsonl").write_text("".join(json.dumps({"problem": f"{i} + 1 = ?", "answer": str(i + 1)}) + "\n" for i in range(7500)))
        for model, config in MODELS.items():
            (folder / model).mkdir()
            (folder / model / "config.json").write_text(json.dumps(config))
        print("| " + " | ".join(COLUMNS) + " |")
        print("|" + "---|" * len(COLUMNS))
        for model in MODELS:
            for gpus in GPUS:
                print(row(program, folder, model, gpus))


main()
