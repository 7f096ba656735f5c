#!/usr/bin/env python3
"""Compares a folder that scripts/convert_gguf.py made with llama.cpp on the GGUF file itself: llama.cpp draws completions at temperature 1 and says the log-probability of each
token that it drew; `grpo score` says its own of the same tokens.

  PYTHONPATH=$(scripts/gguf_tools.sh) PYTHON scripts/check_gguf.py MODEL.gguf FOLDER [--exact]

llama.cpp multiplies quantised weights by activations that it rounds to 8 bits, which moves log-probabilities by hundredths. --exact tells that apart from mistakes: llama.cpp then
reads a copy of the file with every weight in float32 (4 bytes each, beside FOLDER, removed in the end), where it rounds nothing; FOLDER is to be one of --dtype float32 then, and the
difference that of two float32 programs. PYTHON is one that has the package xllamacpp (llama.cpp) and is as new as python3. Exit 1 where a difference is above its tolerance.
"""
import argparse
import json
import os
import sys
import tempfile
from statistics import mean

import gguf
import numpy as np
from gguf.quants import dequantize
from xllamacpp import CommonParams, Server, ggml_type, llama_flash_attn_type

from checks import Checks, run_grpo
from convert_gguf import tied_embedding

PROMPTS = [
    "The capital of France is",
    "What is 17 + 25? Answer with just the number.",
    "Tom has 3 boxes with 12 pencils each and gives 7 pencils away. How many pencils are left? Let us think step by step.",
    "def mean(xs):\n    \"\"\"The arithmetic mean.\"\"\"\n",
    "Once upon a time, in a village by the sea,",
    "1, 2, 4, 8, 16,",
    "Zażółć gęślą jaźń. 数学の問題を解く。",
    "| name | price |\n|---|---:|\n",
]


def write_float32(source, target):
    """The same GGUF file with every tensor in float32, and of a tied model the copy that serves for embedding and head."""
    reader = gguf.GGUFReader(source)
    embedding = tied_embedding({tensor.name: tensor for tensor in reader.tensors})
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name not in ("general.architecture", "general.file_type"):
            kind = field.types[0]
            writer.add_key_value(name, field.contents(), kind, sub_type=field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for tensor in reader.tensors:
        writer.add_tensor_info(tensor.name, tensor.shape.tolist()[::-1], np.dtype(np.float32), 4 * tensor.n_elements)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in reader.tensors:
        used = embedding if embedding is not None and tensor.name in ("token_embd.weight", "output.weight") else tensor
        writer.write_tensor_data(dequantize(used.data, used.tensor_type))
    writer.close()


def server(path, threads, exact):
    parameters = CommonParams()
    if exact:  # keys and values not in half precision
        parameters.cache_type_k = parameters.cache_type_v = ggml_type.GGML_TYPE_F32
        parameters.flash_attn_type = llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    parameters.model.path = path
    parameters.n_ctx, parameters.n_parallel, parameters.n_gpu_layers, parameters.warmup, parameters.verbosity = 2048, 1, 0, False, 0
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    return Server(parameters)


def completion(llama, prompt, tokens, seed):
    """Ids that llama.cpp drew behind the prompt, and their log-probabilities: of the whole distribution, since none of its filters is on. One token a call, since an answer
    leaves out tokens that end within a character; there a completion ends."""
    ids, logs = [], []
    while len(ids) < tokens:
        answer = llama.handle_completions({"prompt": prompt + ids, "n_predict": 1, "samplers": ["temperature"], "temperature": 1.0, "n_probs": 1, "seed": seed + len(ids)})
        answer = json.loads(answer) if isinstance(answer, str) else answer
        drawn = (answer["choices"][0]["logprobs"] or {}).get("content")
        if not drawn:
            break
        ids.append(drawn[0]["id"])
        logs.append(drawn[0]["logprob"])
    return ids, logs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="MODEL.gguf")
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--grpo", default="build/bin/grpo")
    parser.add_argument("--exact", action="store_true", help="let llama.cpp read the weights in float32")
    parser.add_argument("--tokens", type=int, default=64, help="of each completion")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--mean", type=float, help="largest mean difference of a log-probability; default 0.1, with --exact 5e-4")
    parser.add_argument("--largest", type=float, help="largest difference; default 2, with --exact 0.005")
    options = parser.parse_args()
    allowed_mean = options.mean if options.mean is not None else 5e-4 if options.exact else 0.1
    allowed = options.largest if options.largest is not None else 5e-3 if options.exact else 2.0

    checks = Checks()
    tokenized = run_grpo(options.grpo, "tokenize", options.folder, [{"text": text} for text in PROMPTS])
    if isinstance(tokenized, str):
        sys.exit(f"check_gguf: {tokenized}")
    with tempfile.TemporaryDirectory(prefix="check_gguf-", dir=os.path.dirname(os.path.abspath(options.folder))) as work:
        source = options.source
        if options.exact:
            source = os.path.join(work, "float32.gguf")
            write_float32(options.source, source)
        llama = server(source, options.threads, options.exact)
        drawn = [completion(llama, row["ids"], options.tokens, 1000 * number) for number, row in enumerate(tokenized)]
        del llama
    rows = [{"ids": row["ids"] + ids} for row, (ids, _) in zip(tokenized, drawn)]
    scored = run_grpo(options.grpo, "score", options.folder, rows, ["--dtype", "float32", "--device", "cpu"])
    if isinstance(scored, str):
        sys.exit(f"check_gguf: {scored}")
    differences, logs = [], []
    for row, (ids, expected) in zip(scored, drawn):
        differences += [abs(a - b) for a, b in zip(row["logprobs"][len(row["logprobs"]) - len(ids):], expected)]
        logs += expected
    size = (f"{len(differences)} tokens, log-probabilities {min(logs):.1f} to {max(logs):.1f}; difference mean {mean(differences):.2g}, "
            f"95 % below {sorted(differences)[int(0.95 * len(differences))]:.2g}, largest {max(differences):.2g}")
    # A NaN compares false with everything, so the test is that they are small, not that none is large.
    checks.report(mean(differences) <= allowed_mean and all(d <= allowed for d in differences), "score", f"{size} (allowed {allowed_mean:g} and {allowed:g})")
    sys.exit(checks.failed > 0)


if __name__ == "__main__":
    main()
