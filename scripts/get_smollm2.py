#!/usr/bin/env python3
"""Writes a Llama-architecture GGUF file with a byte-level BPE tokenizer as a Hugging Face folder (bfloat16).

  get_smollm2.py MODEL.gguf FOLDER

Needs the packages gguf and numpy. scripts/get_smollm2.sh calls it.
"""
import json
import os
import sys

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

# GGUF token types (llama.cpp's llama_token_type): 1 is a plain token, 3 a control token.
NORMAL, CONTROL = 1, 3

# How each known GGUF `tokenizer.ggml.pre` splits text, as tokenizer.json says it. GGUF stores only the name.
PRE_TOKENIZERS = {
    "smollm": [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    ],
}

LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
TOP_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def fail(message):
    sys.exit(f"get_smollm2: {message}")


class Metadata:
    """The key-value part of a GGUF file; a missing key ends the program with its name."""

    def __init__(self, reader):
        self.fields = reader.fields

    def has(self, key):
        return key in self.fields

    def __getitem__(self, key):
        if key not in self.fields:
            fail(f"the GGUF file has no '{key}'")
        return self.fields[key].contents()


def model_config(meta, tied):
    if meta["general.architecture"] != "llama":
        fail(f"architecture '{meta['general.architecture']}', expected 'llama'")
    hidden, heads = meta["llama.embedding_length"], meta["llama.attention.head_count"]
    head_dim = meta["llama.rope.dimension_count"]
    if head_dim * heads != hidden:
        fail(f"rotary dimensions {head_dim} x {heads} heads, expected the hidden size {hidden}")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": meta["llama.vocab_size"],
        "hidden_size": hidden,
        "intermediate_size": meta["llama.feed_forward_length"],
        "num_hidden_layers": meta["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": meta["llama.attention.head_count_kv"],
        "head_dim": head_dim,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "max_position_embeddings": meta["llama.context_length"],
        "rope_theta": meta["llama.rope.freq_base"],
        "rope_scaling": None,
        # Stored as float32: 9.99999975e-06 stands for 1e-05.
        "rms_norm_eps": float(f"{meta['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        "tie_word_embeddings": tied,
        "bos_token_id": meta["tokenizer.ggml.bos_token_id"],
        "eos_token_id": meta["tokenizer.ggml.eos_token_id"],
        "pad_token_id": meta["tokenizer.ggml.padding_token_id"],
        "torch_dtype": "bfloat16",
    }


def hugging_face_name(name):
    stem, _, kind = name.rpartition(".")
    if stem in TOP_NAMES:
        return f"{TOP_NAMES[stem]}.{kind}"
    parts = stem.split(".")
    if len(parts) == 3 and parts[0] == "blk" and parts[2] in LAYER_NAMES:
        return f"model.layers.{parts[1]}.{LAYER_NAMES[parts[2]]}.{kind}"
    fail(f"unknown tensor '{name}' in the GGUF file")


def rotary_halves(weight, heads):
    """GGUF keeps the rows of each head in rotary pairs (0,h),(1,h+1),...; Hugging Face in halves 0..h-1, h..2h-1."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def to_bfloat16(values):
    """float32 -> bfloat16 bits, round to nearest even. Weights are finite, so NaN needs no care."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def convert_tensors(reader, config):
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    result = {}
    for done, tensor in enumerate(reader.tensors, 1):
        values = dequantize(tensor.data, tensor.tensor_type)
        if not np.isfinite(values).all():
            fail(f"tensor '{tensor.name}' holds values that are not finite")
        kind = tensor.name.split(".")[-2]
        if kind in heads:
            values = rotary_halves(values, heads[kind])
        bits = to_bfloat16(values)
        result[hugging_face_name(tensor.name)] = bits
        if done % 64 == 0 or done == len(reader.tensors):
            print(f"get_smollm2: converted {done} of {len(reader.tensors)} tensors", flush=True)
    return result


def write_safetensors(path, tensors):
    """bfloat16 bits by name: header length (u64), JSON header padded to 8 bytes, then the data in name order."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(tensors):
        end = offset + tensors[name].nbytes
        header[name] = {"dtype": "BF16", "shape": list(tensors[name].shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for name in sorted(tensors):
            out.write(tensors[name].astype("<u2", copy=False).tobytes())


def tokenizer_json(meta):
    if meta["tokenizer.ggml.model"] != "gpt2":
        fail(f"tokenizer model '{meta['tokenizer.ggml.model']}', expected 'gpt2' (byte-level BPE)")
    pre = meta["tokenizer.ggml.pre"]
    if pre not in PRE_TOKENIZERS:
        fail(f"pre-tokenizer '{pre}', expected one of {', '.join(PRE_TOKENIZERS)}")
    tokens, types = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"]
    odd = sorted(set(types) - {NORMAL, CONTROL})
    if odd:
        fail(f"token types {odd}, expected only {NORMAL} (normal) and {CONTROL} (control)")
    added = [
        {"id": i, "content": tokens[i], "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for i, kind in enumerate(types) if kind == CONTROL
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": PRE_TOKENIZERS[pre]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in meta["tokenizer.ggml.merges"]],
        },
    }


def tokenizer_config(meta, config, added):
    tokens = meta["tokenizer.ggml.tokens"]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config["max_position_embeddings"],
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "bos_token": tokens[config["bos_token_id"]],
        "eos_token": tokens[config["eos_token_id"]],
        "pad_token": tokens[config["pad_token_id"]],
        "unk_token": tokens[meta["tokenizer.ggml.unknown_token_id"]],
        "added_tokens_decoder": {
            str(token["id"]): {key: value for key, value in token.items() if key != "id"} for token in added},
        "chat_template": meta["tokenizer.chat_template"],
    }


def write_json(path, value, indent=2):
    with open(path, "w", encoding="utf-8") as out:
        json.dump(value, out, ensure_ascii=False, indent=indent)
        out.write("\n")


def main():
    if len(sys.argv) != 3:
        fail("expected two arguments: MODEL.gguf FOLDER")
    source, folder = sys.argv[1:]
    reader = GGUFReader(source)
    meta = Metadata(reader)
    tied = all(tensor.name != "output.weight" for tensor in reader.tensors)
    config = model_config(meta, tied)
    tokenizer = tokenizer_json(meta)

    os.makedirs(folder, exist_ok=True)
    write_safetensors(os.path.join(folder, "model.safetensors"), convert_tensors(reader, config))
    write_json(os.path.join(folder, "config.json"), config)
    write_json(os.path.join(folder, "generation_config.json"),
               {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")})
    write_json(os.path.join(folder, "tokenizer.json"), tokenizer, indent=1)
    write_json(os.path.join(folder, "tokenizer_config.json"),
               tokenizer_config(meta, config, tokenizer["added_tokens"]))


if __name__ == "__main__":
    main()
