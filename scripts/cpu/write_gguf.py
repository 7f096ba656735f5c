#!/usr/bin/env python3
"""Writes a Hugging Face folder of a Llama model with a byte-level BPE tokenizer as GGUF files of the same weights.

  write_gguf.py FOLDER TYPE=FILE ...       TYPE: bf16 or q8_0

Needs the packages gguf and numpy; scripts/bench_cpu.py calls it for llama.cpp. The way back is scripts/convert_gguf.py. Matrices, the
embedding among them, are written in TYPE as llama.cpp's own quantizer does for these two, norms in fp32.
"""
import json
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import quantize

TYPES = {"bf16": (gguf.GGMLQuantizationType.BF16, gguf.LlamaFileType.MOSTLY_BF16), "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0)}
LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
TOP_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def read_safetensors(path):
    """Name and fp32 values of each tensor of a file in bf16."""
    data = np.memmap(path, dtype=np.uint8, mode="r")
    length = int.from_bytes(data[:8].tobytes(), "little")
    for name, entry in json.loads(data[8:8 + length].tobytes()).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "BF16":
            sys.exit(f"write_gguf: {path}: {name} is {entry['dtype']}, expected BF16")
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        bits = data[begin:end].view("<u2").astype(np.uint32) << 16
        yield name, bits.view(np.float32).reshape(entry["shape"])


def gguf_name(name):
    stem, _, kind = name.rpartition(".")
    if stem in TOP_NAMES:
        return f"{TOP_NAMES[stem]}.{kind}"
    parts = stem.split(".", 3)
    if parts[:2] != ["model", "layers"] or parts[3] not in LAYER_NAMES:
        sys.exit(f"write_gguf: {name}: no tensor of a Llama model without biases")
    return f"blk.{parts[2]}.{LAYER_NAMES[parts[3]]}.{kind}"


def rotary_pairs(weight, heads):
    """Hugging Face keeps the rows of each head in halves 0..h-1, h..2h-1; GGUF in rotary pairs (0,h),(1,h+1),..."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def add_model(writer, config, file_type):
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(file_type)


def add_tokenizer(writer, config, tokenizer):
    tokens = {place: token for token, place in tokenizer["model"]["vocab"].items()}
    special = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}
    tokens |= special
    places = range(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([tokens.get(place, f"[UNUSED{place}]") for place in places])
    writer.add_token_types([gguf.TokenType.CONTROL if place in special else gguf.TokenType.NORMAL if place in tokens else gguf.TokenType.UNUSED for place in places])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])


def write(folder, type_name, path):
    config = json.loads((folder / "config.json").read_text())
    kind, file_type = TYPES[type_name]
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    writer = gguf.GGUFWriter(path, "llama")
    add_model(writer, config, file_type)
    add_tokenizer(writer, config, json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")))
    for file in sorted(folder.glob("*.safetensors")):
        for name, values in read_safetensors(file):
            name = gguf_name(name)
            part = name.split(".")[-2]
            if part in heads:
                values = rotary_pairs(values, heads[part])
            if values.ndim == 1:
                writer.add_tensor(name, values)
            else:
                writer.add_tensor(name, quantize(np.ascontiguousarray(values), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    wanted = [word.partition("=") for word in sys.argv[2:]]
    if not wanted or any(name not in TYPES or not path for name, _, path in wanted):
        sys.exit(__doc__)
    for name, _, path in wanted:
        write(Path(sys.argv[1]), name, path)


if __name__ == "__main__":
    main()
