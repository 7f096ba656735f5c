#!/usr/bin/env python3
"""Writes tests/golden/lora: adapters as peft saves them, and what peft computes with them on models of tests/golden/models.
Needs torch, transformers and peft; see tests/golden/README.md.

  tests/models/make_lora_golden.py tests/golden/models tests/golden/lora
"""
import json
import math
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

CASES = {
    "qwen2_all": ("qwen2_tied", dict(r=4, lora_alpha=6, target_modules="all-linear")),
    "qwen3_all": ("qwen3_tied", dict(r=2, lora_alpha=16, target_modules="all-linear")),
    "llama_some_rslora": ("llama_linear_bias", dict(r=3, lora_alpha=5, use_rslora=True, target_modules=["q_proj", "v_proj", "down_proj"])),
}


def check_initial_values(model):
    """That A is uniform within 1 / sqrt(in) and B zero, as this project draws them."""
    for name, parameter in model.named_parameters():
        if "lora_A" in name:
            bound = 1 / math.sqrt(parameter.shape[1])
            assert 0.8 * bound < parameter.abs().max() <= bound, (name, parameter.abs().max(), bound)
        if "lora_B" in name:
            assert not parameter.any(), name


def nll(model, ids, mask):
    """Mean of -log p of all ids that have one before them, of right-padded sequences."""
    logits = model(input_ids=ids, attention_mask=mask).logits
    log_probs = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    valid = mask[:, 1:].bool()
    return logits, -(log_probs * valid).sum() / valid.sum()


def make(base, options, folder):
    torch.manual_seed(11)
    golden = load_file(base / "expected.safetensors")
    ids, mask = golden["input_ids"], golden["attention_mask"]
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), LoraConfig(task_type="CAUSAL_LM", **options))
    check_initial_values(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    model.save_pretrained(folder)
    for extra in folder.glob("README.md"):
        extra.unlink()
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = os.path.relpath(base, folder)
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    logits, loss = nll(model, ids, mask)
    loss.backward()
    expected = {"logits": (logits * mask[..., None]).detach(), "nll": loss.detach()[None]}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            expected["grad." + name.replace("base_model.model.", "").replace(".default", "")] = parameter.grad
    merged = model.merge_and_unload()
    expected["merged_logits"] = (nll(merged, ids, mask)[0] * mask[..., None]).detach()
    save_file({name: value.contiguous() for name, value in expected.items()}, folder / "expected.safetensors")
    print(f"{folder.name}: nll {loss.item():.6f}, without adapters {golden['nll'].item():.6f}, "
          f"merged differs by {(expected['merged_logits'] - expected['logits']).abs().max():.1e}")


def main():
    models, target = map(pathlib.Path, sys.argv[1:3])
    for name, (base, options) in CASES.items():
        make(models / base, options, target / name)


main()
