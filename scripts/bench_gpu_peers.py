#!/usr/bin/env python3
"""The peers' side of the rollout benchmark on a GPU: transformers' generate and, where it is installed, vLLM.

Random weights in the shape of Qwen2.5-1.5B, bf16, prompts and lengths as in tests/rollout/gpu_rollout_bench.cpp. Prints one JSON
line a measurement. The time of a step is what 144 new tokens take longer than 16, by step, so that prefill does not count.
"""
import importlib.util
import json
import tempfile
import time

import torch
from transformers import AutoModelForCausalLM, Qwen2Config

SHAPE = dict(vocab_size=151936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12,
             num_key_value_heads=2, max_position_embeddings=32768, tie_word_embeddings=True)
SHORT, LONG = 16, 144


def prompts(count, tokens):
    vocabulary = SHAPE["vocab_size"]
    return [[100 + (i * 7919 + t * 104729) % (vocabulary - 100) for t in range(tokens)] for i in range(count)]


def report(peer, sequences, context, generate):
    def timed(new):
        torch.cuda.synchronize()
        start = time.perf_counter()
        generate(new)
        torch.cuda.synchronize()
        return time.perf_counter() - start

    timed(LONG)
    step = (timed(LONG) - timed(SHORT)) / (LONG - SHORT)
    print(json.dumps({"bench": "decode of peers", "peer": peer, "model": "1.5b", "sequences": sequences, "context": context,
                      "step_ms": 1e3 * step, "tokens_per_s": sequences / step}), flush=True)


def run_transformers(model):
    for sequences in (64, 256):
        ids = torch.tensor(prompts(sequences, 1024 - LONG // 2), device="cuda")

        @torch.no_grad()
        def generate(new):
            model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, min_new_tokens=new, do_sample=True, top_k=0)

        report("transformers", sequences, 1024, generate)


def run_vllm(folder):
    from vllm import LLM, SamplingParams

    llm = LLM(folder, skip_tokenizer_init=True, dtype="bfloat16", max_model_len=8192, enable_prefix_caching=False)
    for sequences in (64, 256, 512):
        rows = [{"prompt_token_ids": ids} for ids in prompts(sequences, 1024 - LONG // 2)]

        def generate(new):
            llm.generate(rows, SamplingParams(temperature=1.0, max_tokens=new, ignore_eos=True, detokenize=False), use_tqdm=False)

        report("vllm", sequences, 1024, generate)


def main():
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(Qwen2Config(**SHAPE), dtype=torch.bfloat16).to("cuda").eval()
    run_transformers(model)
    if importlib.util.find_spec("vllm") is None:
        print(json.dumps({"bench": "decode of peers", "peer": "vllm", "skipped": "not installed here"}))
        return
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        del model
        torch.cuda.empty_cache()
        run_vllm(folder)


main()
