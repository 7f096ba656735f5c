#!/usr/bin/env python3
"""Shapes with random weights for the GPU check, and a folder of one that grpo-train loads.

  scripts/gpu/random_model.py FOLDER TOKENIZER_FOLDER [--tiny] [--device cpu]

The tokenizer is the embedded model's with a word for every further id, so that its problems can be asked and any id has a text.
"""
import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, Qwen2Config

QWEN_1_5B = dict(vocab_size=151936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12,
                 num_key_value_heads=2, max_position_embeddings=32768, tie_word_embeddings=True)
TINY = dict(vocab_size=1024, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=1024, tie_word_embeddings=True)


def random_model(shape, device):
    """bf16, made on the device: initialising 1.5B weights takes a CPU half a minute."""
    with torch.device(device):
        return AutoModelForCausalLM.from_config(Qwen2Config(**shape, bos_token_id=None, eos_token_id=1, pad_token_id=0), dtype=torch.bfloat16)


def write_tokenizer(source, folder, vocabulary):
    shutil.copy(source / "tokenizer_config.json", folder)
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    words = tokenizer["model"]["vocab"]
    taken = len(words) + sum(token["content"] not in words for token in tokenizer["added_tokens"])
    words.update({f"w{i}": i for i in range(taken, vocabulary)})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("--tiny", action="store_true", help="a small shape")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    options = parser.parse_args()
    shape = TINY if options.tiny else QWEN_1_5B
    model = random_model(shape, options.device)
    options.folder.mkdir(parents=True, exist_ok=True)
    model.config.to_json_file(options.folder / "config.json", use_diff=False)
    # The head is the embedding's own memory and is not written twice.
    save_file({name: weight.contiguous() for name, weight in model.state_dict().items() if name != "lm_head.weight"},
              options.folder / "model.safetensors", metadata={"format": "pt"})
    write_tokenizer(options.tokenizer, options.folder, shape["vocab_size"])


if __name__ == "__main__":
    main()
