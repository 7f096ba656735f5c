#!/usr/bin/env python3
"""Writes a GGUF file of a Llama, Qwen2 or Qwen3 model as a Hugging Face folder, which grpo-train, transformers and vLLM load.

  PYTHONPATH=$(scripts/gguf_tools.sh) scripts/convert_gguf.py MODEL.gguf FOLDER [--dtype bfloat16]

Weights may be in any quantisation that the package gguf can undo; what comes out is the quantised model in bfloat16 (or float32, which is exact). Of a tied
model whose file holds the embedding twice, the copy with more bits serves for both. Tokenizers are byte-level BPE with one of the splits below. Whatever a
file has that the folder could not say is refused by name: experts, adapters, parts of a split file, other kinds of rotary scaling, unknown tensors.

GGUF does not tell tokens that are special from those that only look so (<|fim_prefix|>): in the folder both are special. Needs the packages gguf and numpy.
"""
import argparse
import json
import math
import os
import shutil
import sys
from collections import Counter

try:
    import numpy as np
    from gguf import GGUFEndian, GGUFReader
    from gguf.quants import dequantize
except ImportError as missing:
    sys.exit(f"convert_gguf: no Python package {missing.name}; run: PYTHONPATH=$(scripts/gguf_tools.sh) scripts/convert_gguf.py ...")

# GGUF's kinds of tokens. A control token is special, a user-defined one is matched as a whole and is not; unused ones only fill the vocabulary up.
NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5

ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}

# What a file may say of its architecture; any other key changes the model in a way that a folder of these families cannot say.
KNOWN_KEYS = {
    "vocab_size", "context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count", "attention.head_count_kv",
    "attention.key_length", "attention.value_length", "attention.layer_norm_rms_epsilon", "rope.dimension_count", "rope.freq_base", "rope.scaling.type",
    "rope.scaling.factor", "rope.scaling.original_context_length", "rope.scaling.finetuned", "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow",
}


def byte_level_split(digits):
    """The split of Llama 3 and Qwen: contractions, words with a character in front, `digits`, punctuation, line ends, white space."""
    pattern = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    return [{"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}]


GPT2_SPLIT = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
SMOLLM = {"split": [{"type": "Digits", "individual_digits": True}, GPT2_SPLIT]}
QWEN = {"split": byte_level_split(r"\p{N}"), "normalizer": {"type": "NFC"}}
LLAMA3 = {"split": byte_level_split(r"\p{N}{1,3}"), "ignore_merges": True, "begins": True}
# How each `tokenizer.ggml.pre` splits text, as tokenizer.json says it; GGUF stores only the name. begins: a text begins with BOS unless the file denies it.
PRE_TOKENIZERS = {
    "smollm": SMOLLM, "gpt-2": {"split": [GPT2_SPLIT]}, "qwen2": QWEN, "deepseek-r1-qwen": QWEN, "llama-bpe": LLAMA3, "llama3": LLAMA3, "llama-v3": LLAMA3,
}

LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
ATTENTION, MLP = ("attn_q", "attn_k", "attn_v", "attn_output"), ("ffn_gate", "ffn_up", "ffn_down")

SLICE = 1 << 22  # values of a matrix that are in memory at a time
UNQUANTISED = ("F32", "F16", "BF16")


def fail(message):
    sys.exit(f"convert_gguf: {message}")


class Metadata:
    """The key-value part of a GGUF file; a missing key ends the program with its name. `arch.` stands for the architecture's name."""

    def __init__(self, reader):
        self.fields, self.read = reader.fields, {}
        self.architecture = self["general.architecture"]

    def name(self, key):
        return f"{self.architecture}.{key[5:]}" if key.startswith("arch.") else key

    def __contains__(self, key):
        return self.name(key) in self.fields

    def __getitem__(self, key):
        if key not in self:
            fail(f"the file has no '{self.name(key)}'")
        if self.name(key) not in self.read:
            self.read[self.name(key)] = self.fields[self.name(key)].contents()
        return self.read[self.name(key)]

    def get(self, key, otherwise=None):
        return self[key] if key in self else otherwise

    def checked(self, key, value, good, expected):
        return value if good else fail(f"'{self.name(key)}' is {value!r:.60}, expected {expected}")

    def count(self, key, otherwise=None):
        value = self.get(key, otherwise) if otherwise is not None else self[key]
        return self.checked(key, value, isinstance(value, int) and value > 0, "one number above 0")

    def number(self, key, otherwise=None):
        """Stored as float32: 9.99999975e-06 stands for 1e-05."""
        value = self.get(key, otherwise) if otherwise is not None else self[key]
        return float(f"{self.checked(key, value, isinstance(value, (int, float)), 'a number'):.6g}")

    def list_of(self, key, kind):
        return self.checked(key, self[key], isinstance(self[key], list) and all(isinstance(each, kind) for each in self[key]), f"a list of {kind.__name__}")


def read(path):
    try:
        reader = GGUFReader(path)
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    except (ValueError, KeyError, IndexError, OverflowError, MemoryError, UnicodeDecodeError) as error:
        fail(f"{path}: no whole GGUF file: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
    if reader.endianess != GGUFEndian.LITTLE:
        fail(f"{path}: its numbers are big-endian, expected little-endian")
    return reader


def refuse_what_no_folder_says(meta):
    if meta.architecture not in ARCHITECTURES:
        fail(f"architecture '{meta.architecture}' is not supported (known: {', '.join(ARCHITECTURES)})")
    if meta.get("general.type", "model") != "model":
        fail(f"general.type is '{meta['general.type']}', expected a model")
    if meta.get("split.count", 0) > 1:
        fail(f"the file is one of {meta['split.count']} parts (split.count): join them with llama-gguf-split --merge first")
    unknown = [key for key in meta.fields if key.startswith(meta.architecture + ".") and key[len(meta.architecture) + 1:] not in KNOWN_KEYS]
    if unknown:
        fail(f"the file has '{unknown[0]}' ({meta[unknown[0]]!r:.60}), which a model of this family has no place for")


def llama3_factors(config, scaling):
    """By how much each rotary frequency is divided (Llama 3.1's model card)."""
    result, original = [], scaling["original_max_position_embeddings"]
    for i in range(0, config["head_dim"], 2):
        turns = original / (2 * math.pi * config["rope_theta"] ** (i / config["head_dim"]))
        blend = (turns - scaling["low_freq_factor"]) / (scaling["high_freq_factor"] - scaling["low_freq_factor"])
        blend = min(max(blend, 0.0), 1.0)
        result.append(1 / ((1 - blend) / scaling["factor"] + blend))
    return np.array(result)


def llama3_scaling(config, tensor):
    """GGUF has the quotients of all frequencies (rope_freqs) and not the settings that they follow from: those of Llama 3.1 to 3.3 are tried."""
    quotients = dequantize(tensor.data, tensor.tensor_type).ravel()
    scaling = {"rope_type": "llama3", "factor": float(f"{quotients.max():.6g}"), "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 8192}
    expected = llama3_factors(config, scaling)
    if quotients.shape != expected.shape or not np.allclose(quotients, expected, rtol=1e-4):
        fail("tensor 'rope_freqs.weight' scales rotary frequencies otherwise than Llama 3.1 to 3.3 do")
    return scaling


def rope_scaling(meta, config, tensors):
    kind = meta.get("arch.rope.scaling.type", "none")
    if "rope_freqs.weight" in tensors:
        if kind != "none":
            fail(f"the file has both 'rope_freqs.weight' and rope.scaling.type '{kind}'")
        return llama3_scaling(config, tensors["rope_freqs.weight"])
    if kind == "none":
        return None
    if kind not in ("linear", "yarn"):
        fail(f"rotary scaling '{kind}' is not supported (known: none, linear, yarn, and Llama 3's by 'rope_freqs.weight')")
    scaling = {"rope_type": kind, "factor": meta.number("arch.rope.scaling.factor")}
    if kind == "yarn":
        scaling["original_max_position_embeddings"] = meta.count("arch.rope.scaling.original_context_length")
        scaling.update({key: meta.number(f"arch.rope.scaling.yarn_{key}") for key in ("beta_fast", "beta_slow") if f"arch.rope.scaling.yarn_{key}" in meta})
    return scaling


def head_size(meta, hidden, heads):
    size = meta.count("arch.attention.key_length", meta.get("arch.rope.dimension_count", hidden // heads))
    for key in ("arch.attention.value_length", "arch.rope.dimension_count"):
        if meta.count(key, size) != size:
            fail(f"'{meta.name(key)}' is {meta[key]}, expected the head's size, {size}")
    return size


def model_config(meta, tensors, dtype):
    if "token_embd.weight" not in tensors:
        fail("the file has no tensor 'token_embd.weight'")
    hidden, heads = meta.count("arch.embedding_length"), meta.count("arch.attention.head_count")
    config = {
        "architectures": [ARCHITECTURES[meta.architecture]],
        "model_type": meta.architecture,
        "vocab_size": int(tensors["token_embd.weight"].shape[-1]),
        "hidden_size": hidden,
        "intermediate_size": meta.count("arch.feed_forward_length"),
        "num_hidden_layers": meta.count("arch.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": meta.count("arch.attention.head_count_kv", heads),
        "head_dim": head_size(meta, hidden, heads),
        "hidden_act": "silu",
    }
    if meta.architecture == "llama":
        config.update(attention_bias="blk.0.attn_q.bias" in tensors, mlp_bias="blk.0.ffn_gate.bias" in tensors)
    if meta.architecture == "qwen3":
        config.update(attention_bias=False)
    config.update(max_position_embeddings=meta.count("arch.context_length"), rope_theta=meta.number("arch.rope.freq_base", 10000.0))
    config.update(rope_scaling=rope_scaling(meta, config, tensors), rms_norm_eps=meta.number("arch.attention.layer_norm_rms_epsilon"),
                  tie_word_embeddings="output.weight" not in tensors)
    config.update({name: meta[f"tokenizer.ggml.{key}"] for name, key in
                   (("bos_token_id", "bos_token_id"), ("eos_token_id", "eos_token_id"), ("pad_token_id", "padding_token_id")) if f"tokenizer.ggml.{key}" in meta})
    return {**config, "torch_dtype": dtype}


def expected_tensors(config):
    """The shape (rows, columns) of every tensor that the file must have, by GGUF's name."""
    hidden, inner, size = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    query, key = config["num_attention_heads"] * size, config["num_key_value_heads"] * size
    matrices = {"attn_q": (query, hidden), "attn_k": (key, hidden), "attn_v": (key, hidden), "attn_output": (hidden, query),
                "ffn_gate": (inner, hidden), "ffn_up": (inner, hidden), "ffn_down": (hidden, inner)}
    biased = ATTENTION[:3] if config["model_type"] == "qwen2" else (ATTENTION if config["attention_bias"] else ()) + (MLP if config.get("mlp_bias") else ())
    layer = {f"{name}.weight": shape for name, shape in matrices.items()}
    layer.update({f"{name}.bias": matrices[name][:1] for name in biased})
    layer.update({"attn_norm.weight": (hidden,), "ffn_norm.weight": (hidden,)})
    if config["model_type"] == "qwen3":
        layer.update({"attn_q_norm.weight": (size,), "attn_k_norm.weight": (size,)})
    top = {"token_embd.weight": (config["vocab_size"], hidden), "output_norm.weight": (hidden,)}
    return {**top, **{f"blk.{i}.{name}": shape for i in range(config["num_hidden_layers"]) for name, shape in layer.items()}}


def check_tensors(tensors, config):
    expected = expected_tensors(config)
    optional = {"output.weight": expected["token_embd.weight"], "rope_freqs.weight": (config["head_dim"] // 2,)}
    for name, tensor in tensors.items():
        shape = expected.get(name) or optional.get(name) or fail(f"unknown tensor '{name}'")
        found = tuple(reversed(tensor.shape.tolist()))
        if found != shape:
            fail(f"tensor '{name}' has the shape {list(found)}, expected {list(shape)}")
    for name in expected:
        if name not in tensors:
            fail(f"the file has no tensor '{name}'; is it whole?")


def hugging_face_name(name):
    stem, _, kind = name.rpartition(".")
    top = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    if stem in top:
        return f"{top[stem]}.{kind}"
    _, layer, part = stem.split(".")
    return f"model.layers.{layer}.{LAYER_NAMES[part]}.{kind}"


def rotary_halves(rows, heads):
    """Which of Llama's rows go where: GGUF keeps those of each head in rotary pairs (0,h),(1,h+1),...; Hugging Face in halves 0..h-1, h..2h-1."""
    return np.arange(rows).reshape(heads, rows // heads // 2, 2).swapaxes(1, 2).reshape(rows)


def values(tensor, order=None):
    """A tensor's values as float32, some rows at a time. order: of which rows."""
    def weights(data):
        try:
            result = dequantize(data, tensor.tensor_type)
        except NotImplementedError:
            fail(f"tensor '{tensor.name}' is in {tensor.tensor_type.name}, which the package gguf cannot undo")
        return result if np.isfinite(result).all() else fail(f"tensor '{tensor.name}' holds values that are not finite")
    if tensor.data.ndim == 1:
        whole = weights(tensor.data)
        yield whole if order is None else whole[order]
        return
    step = max(1, SLICE // int(tensor.shape[0]))
    for begin in range(0, len(tensor.data), step):
        rows = slice(begin, begin + step) if order is None else order[begin:begin + step]
        yield weights(tensor.data[rows])


def relative_difference(one, other):
    """Of two matrices, by the root of the mean squares."""
    difference = size = 0.0
    for a, b in zip(values(one), values(other)):
        difference += float(np.square(a - b, dtype=np.float64).sum())
        size += float(np.square(b, dtype=np.float64).sum())
    return math.sqrt(difference / size) if size > 0 else 0.0 if difference == 0 else math.inf


def bits(tensor):
    return 8 * tensor.n_bytes / tensor.n_elements


def tied_embedding(tensors):
    """The tensor that serves as embedding and as head, or none. A file may hold both of a tied model, in two quantisations: they differ by rounding only,
    where an untied head has little to do with the embedding (1.4 is the difference of two matrices that know nothing of each other)."""
    embedding, head = tensors["token_embd.weight"], tensors.get("output.weight")
    if head is None:
        return embedding
    rounding = 0.01 if embedding.tensor_type.name in UNQUANTISED and head.tensor_type.name in UNQUANTISED else 0.3
    difference = relative_difference(embedding, head)
    if difference > rounding:
        return None
    better = head if bits(head) > bits(embedding) else embedding
    print(f"convert_gguf: token_embd ({embedding.tensor_type.name}) and output ({head.tensor_type.name}) differ by {100 * difference:.2g} %: one matrix, "
          f"tied; {better.tensor_type.name} serves for both")
    return better


def to_bfloat16(numbers):
    """float32 -> bfloat16 bits, round to nearest even. Weights are finite, so NaN needs no care."""
    raw = np.ascontiguousarray(numbers, dtype=np.float32).view(np.uint32).astype(np.uint64)
    return ((raw + 0x7FFF + ((raw >> 16) & 1)) >> 16).astype("<u2")


DTYPES = {"bfloat16": ("BF16", 2, to_bfloat16), "float32": ("F32", 4, lambda numbers: np.ascontiguousarray(numbers, dtype="<f4"))}


def write_safetensors(path, tensors, config):
    """tensors by Hugging Face's name. Header length (u64), JSON header padded to 8 bytes, then the data in name order."""
    stored, width, convert = DTYPES[config["torch_dtype"]]
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]} if config["model_type"] == "llama" else {}
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(tensors):
        end = offset + tensors[name].n_elements * width
        header[name] = {"dtype": stored, "shape": tensors[name].shape.tolist()[::-1], "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for done, name in enumerate(sorted(tensors), 1):
            tensor = tensors[name]
            part = tensor.name.split(".")[-2]
            order = rotary_halves(int(tensor.shape[-1]), heads[part]) if part in heads else None
            for numbers in values(tensor, order):
                out.write(convert(numbers).tobytes())
            if done % 64 == 0 or done == len(tensors):
                print(f"convert_gguf: converted {done} of {len(tensors)} tensors", flush=True)


def begins_with(tokens, bos):
    """The post-processor that puts BOS in front of a text."""
    first = {"SpecialToken": {"id": tokens[bos], "type_id": 0}}
    return {"type": "TemplateProcessing", "single": [first, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [first, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": tokens[bos], "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {tokens[bos]: {"id": tokens[bos], "ids": [bos], "tokens": [tokens[bos]]}}}


def tokenizer_json(meta, config):
    if meta["tokenizer.ggml.model"] != "gpt2":
        fail(f"tokenizer model '{meta['tokenizer.ggml.model']}' is not supported (known: 'gpt2', which is byte-level BPE)")
    pre = meta["tokenizer.ggml.pre"]
    if pre not in PRE_TOKENIZERS:
        fail(f"pre-tokenizer '{pre}' is not supported (known: {', '.join(PRE_TOKENIZERS)})")
    pre = PRE_TOKENIZERS[pre]
    tokens, types = meta.list_of("tokenizer.ggml.tokens", str), meta.list_of("tokenizer.ggml.token_type", int)
    merges = [merge.split(" ") for merge in meta.list_of("tokenizer.ggml.merges", str)]
    odd = sorted(set(types) - {NORMAL, CONTROL, USER_DEFINED, UNUSED})
    if odd:
        fail(f"token types {odd}, expected only {NORMAL} (normal), {CONTROL} (control), {USER_DEFINED} (user-defined) and {UNUSED} (unused)")
    if len(types) != len(tokens) or len(tokens) > config["vocab_size"]:
        fail(f"{len(tokens)} tokens and {len(types)} kinds of tokens for an embedding of {config['vocab_size']} rows")
    vocabulary = {token: i for i, (token, kind) in enumerate(zip(tokens, types)) if kind != UNUSED}
    if len(vocabulary) != len(tokens) - types.count(UNUSED):
        fail("two tokens have the same text")
    if not all(len(merge) == 2 for merge in merges):
        fail("an entry of 'tokenizer.ggml.merges' is no pair")
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if config.get(key, 0) not in range(len(tokens)):
            fail(f"{key} {config[key]!r:.60} is no id of the {len(tokens)} tokens")
    added = [
        {"id": i, "content": tokens[i], "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": kind == CONTROL}
        for i, kind in enumerate(types) if kind in (CONTROL, USER_DEFINED)
    ]
    begins = meta.get("tokenizer.ggml.add_bos_token", pre.get("begins", False)) and "bos_token_id" in config
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": pre.get("normalizer"),
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": pre["split"]},
        "post_processor": begins_with(tokens, config["bos_token_id"]) if begins else None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": pre.get("ignore_merges", False),
            "vocab": vocabulary,
            "merges": merges,
        },
    }


def tokenizer_config(meta, config, added):
    tokens = meta["tokenizer.ggml.tokens"]
    ids = {name: config.get(f"{name}_token_id") for name in ("bos", "eos", "pad")}
    ids["unk"] = meta.get("tokenizer.ggml.unknown_token_id")
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config["max_position_embeddings"],
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        **{f"{name}_token": tokens[i] for name, i in ids.items() if i is not None},
        "added_tokens_decoder": {
            str(token["id"]): {key: value for key, value in token.items() if key != "id"} for token in added},
        **({"chat_template": meta["tokenizer.chat_template"]} if "tokenizer.chat_template" in meta else {}),
    }


def generation_config(meta, config):
    """What ends a completion: the file's ends of a text, of a turn and of a message, and <|endoftext|> with Qwen's tokenizer, as Qwen publishes it."""
    ends = [meta[key] for key in (f"tokenizer.ggml.{name}_token_id" for name in ("eos", "eot", "eom")) if key in meta]
    if meta["tokenizer.ggml.pre"] == "qwen2" and "<|endoftext|>" in meta["tokenizer.ggml.tokens"]:
        ends.append(meta["tokenizer.ggml.tokens"].index("<|endoftext|>"))
    ends = list(dict.fromkeys(ends)) or fail("the file has no 'tokenizer.ggml.eos_token_id'")
    said = {**config, "eos_token_id": ends[0] if len(ends) == 1 else ends}
    return {key: said[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id") if key in said}


def write_json(path, value, indent=2):
    with open(path, "w", encoding="utf-8") as out:
        json.dump(value, out, ensure_ascii=False, indent=indent)
        out.write("\n")


def convert(source, folder, dtype):
    reader = read(source)
    meta = Metadata(reader)
    refuse_what_no_folder_says(meta)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    config = model_config(meta, tensors, dtype)
    check_tensors(tensors, config)
    tokenizer = tokenizer_json(meta, config)
    generation = generation_config(meta, config)
    embedding = tied_embedding(tensors)
    config["tie_word_embeddings"] = embedding is not None
    kept = {hugging_face_name(name): tensor for name, tensor in tensors.items() if name != "rope_freqs.weight"}
    if embedding is not None:
        kept.pop("lm_head.weight", None)
        kept["model.embed_tokens.weight"] = embedding

    os.makedirs(folder, exist_ok=True)
    write_safetensors(os.path.join(folder, "model.safetensors"), kept, config)
    write_json(os.path.join(folder, "config.json"), config)
    write_json(os.path.join(folder, "generation_config.json"), generation)
    write_json(os.path.join(folder, "tokenizer.json"), tokenizer, indent=1)
    write_json(os.path.join(folder, "tokenizer_config.json"), tokenizer_config(meta, config, tokenizer["added_tokens"]))
    kinds = Counter(tensor.tensor_type.name for tensor in kept.values())
    return f"{sum(tensor.n_elements for tensor in kept.values()) / 1e6:.1f} M weights ({', '.join(f'{n} tensors in {kind}' for kind, n in kinds.most_common())})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="MODEL.gguf")
    parser.add_argument("folder", metavar="FOLDER", help="is made; must not exist, or be empty")
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16")
    options = parser.parse_args()
    folder = options.folder.rstrip("/")
    if os.path.exists(folder) and (not os.path.isdir(folder) or os.listdir(folder)):
        fail(f"{folder} exists; name another folder or remove it")
    # Under another name until it is whole.
    part = f"{folder}.part-{os.getpid()}"
    try:
        said = convert(options.source, part, options.dtype)
        os.rename(part, folder)
    except OSError as error:
        fail(f"{error.filename or folder}: {error.strerror}")
    finally:
        shutil.rmtree(part, ignore_errors=True)
    print(f"convert_gguf: wrote {folder}: {said} as {options.dtype}")


if __name__ == "__main__":
    main()
