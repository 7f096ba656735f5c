#!/usr/bin/env python3
"""The peers' side of scripts/bench_cpu.py, run inside the peer's environment.

  peers.py serve PEER MODEL DTYPE THREADS     PEER: transformers, llama.cpp, llama.cpp-native, vllm; MODEL: a folder, or a GGUF file
  peers.py trl MODEL DTYPE THREADS GROUP STEPS DATA

serve takes one command a line on stdin and answers with one line of JSON, as grpo_decode_bench does:
  decode N NEW       N completions of NEW tokens at temperature 1, prompts of 64 tokens, no stop; what is counted is what came back
  gradient N LENGTH  forward and backward of N rows of LENGTH tokens, loss on the last two thirds (transformers only)
  answer NEW ID ...  the NEW likeliest tokens after a prompt, one after the other
"""
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

LONG = {"bf16": "bfloat16", "fp32": "float32"}
PROMPT = 64


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def token_rows(count, length, vocabulary):
    return [[100 + (r * 7919 + c * 104729) % (vocabulary - 100) for c in range(length)] for r in range(count)]


class Transformers:
    def __init__(self, folder, dtype, threads):
        import torch
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.torch = torch
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, LONG[dtype])).eval()
        self.vocabulary = self.model.config.vocab_size

    def generate(self, rows, new, greedy):
        ids = self.torch.tensor(rows)
        how = {"do_sample": False} if greedy else {"do_sample": True, "top_k": 0}
        with self.torch.no_grad():
            out = self.model.generate(ids, attention_mask=self.torch.ones_like(ids), max_new_tokens=new, min_new_tokens=new, **how)
        return out[:, ids.shape[1]:].tolist()

    def gradient(self, rows, length):
        ids = self.torch.tensor(rows)
        logits = self.model(ids).logits[:, length // 3 - 1:-1]
        self.torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]).float(), ids[:, length // 3:].reshape(-1)).backward()
        self.model.zero_grad(set_to_none=True)


class LlamaServer:
    """llama.cpp's server as the package xllamacpp has it: a slot for every prompt, all prompts in one request."""

    def __init__(self, file, _, threads):
        import xllamacpp

        self.library, self.file, self.threads = xllamacpp, file, threads
        self.vocabulary, self.slots, self.server = vocabulary_of(file), 0, None

    def prepare(self, slots, longest):
        if (slots, longest) == self.slots:
            return
        self.server = None
        params = self.library.CommonParams()
        params.model.path = self.file
        params.n_parallel, params.n_ctx = slots, slots * -(-longest // 256) * 256
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self.threads
        params.cache_ram_mib, params.warmup, params.verbosity = 0, False, -1
        self.server, self.slots = self.library.Server(params), (slots, longest)

    def generate(self, rows, new, greedy):
        import urllib.request

        body = {"prompt": rows, "n_predict": new, "temperature": 0.0 if greedy else 1.0, "samplers": ["temperature"], "ignore_eos": True, "cache_prompt": False, "return_tokens": True}
        request = urllib.request.Request(self.server.listening_address + "/completion", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as reply:
            answers = json.load(reply)
        return [answer["tokens"] for answer in (answers if isinstance(answers, list) else [answers])]


class LlamaNative:
    """llama.cpp compiled for this CPU (llama-cpp-python), driven as its server drives it: all prompts in batches, then one batch of one token a sequence
    for each step, each sequence with a chain of samplers of its own."""

    def __init__(self, file, _, threads):
        import llama_cpp

        self.library, self.threads = llama_cpp, threads
        self.quiet = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(self.quiet, None)
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(file.encode(), llama_cpp.llama_model_default_params())
        self.vocabulary, self.slots, self.context = vocabulary_of(file), None, None

    def prepare(self, slots, longest):
        if (slots, longest) == self.slots:
            return
        if self.context:
            self.library.llama_free(self.context)
        params = self.library.llama_context_default_params()
        params.n_ctx, params.n_seq_max, params.n_batch, params.n_ubatch = slots * -(-longest // 256) * 256, slots, 2048, 512
        params.n_threads = params.n_threads_batch = self.threads
        self.context, self.slots = self.library.llama_init_from_model(self.model, params), (slots, longest)

    def chain(self, greedy, seed):
        chain = self.library.llama_sampler_chain_init(self.library.llama_sampler_chain_default_params())
        if greedy:
            self.library.llama_sampler_chain_add(chain, self.library.llama_sampler_init_greedy())
        else:
            self.library.llama_sampler_chain_add(chain, self.library.llama_sampler_init_temp(1.0))
            self.library.llama_sampler_chain_add(chain, self.library.llama_sampler_init_dist(seed))
        return chain

    def decode(self, batch, entries):
        """entries: (token, position, sequence, whether its logits are wanted)."""
        for place, (token, position, sequence, wanted) in enumerate(entries):
            batch.token[place], batch.pos[place], batch.n_seq_id[place], batch.seq_id[place][0], batch.logits[place] = token, position, 1, sequence, wanted
        batch.n_tokens = len(entries)
        if self.library.llama_decode(self.context, batch) != 0:
            sys.exit("llama_decode failed")

    def generate(self, rows, new, greedy):
        self.library.llama_memory_clear(self.library.llama_get_memory(self.context), False)
        chains = [self.chain(greedy, seed) for seed in range(len(rows))]
        batch = self.library.llama_batch_init(2048, 0, 1)
        out = [[] for _ in rows]
        at_once = max(1, 2048 // len(rows[0]))
        for first in range(0, len(rows), at_once):
            part = list(enumerate(rows))[first:first + at_once]
            self.decode(batch, [(token, place, row, place == len(ids) - 1) for row, ids in part for place, token in enumerate(ids)])
            for number, (row, ids) in enumerate(part):
                out[row].append(self.library.llama_sampler_sample(chains[row], self.context, (number + 1) * len(ids) - 1))
        for step in range(1, new):
            self.decode(batch, [(out[row][-1], len(ids) + step - 1, row, True) for row, ids in enumerate(rows)])
            for row, chain in enumerate(chains):
                out[row].append(self.library.llama_sampler_sample(chain, self.context, row))
        for chain in chains:
            self.library.llama_sampler_free(chain)
        self.library.llama_batch_free(batch)
        return out


class Vllm:
    def __init__(self, folder, dtype, threads):
        import torch

        if os.environ.get("ATEN_CPU_CAPABILITY") == "avx2":  # vLLM asks the processor which of its libraries to load, and has no variable for it
            torch.cpu._is_avx512_supported = torch.cpu._is_avx512_bf16_supported = lambda: False
        from vllm import LLM, SamplingParams

        self.params = SamplingParams
        self.llm = LLM(folder, dtype=LONG[dtype], max_model_len=512, max_num_seqs=128, enable_prefix_caching=False, disable_log_stats=True, gpu_memory_utilization=0.2)
        self.vocabulary = self.llm.llm_engine.model_config.get_vocab_size()

    def generate(self, rows, new, greedy):
        params = self.params(temperature=0.0 if greedy else 1.0, max_tokens=new, ignore_eos=True, detokenize=False)
        replies = self.llm.generate([{"prompt_token_ids": row} for row in rows], params, use_tqdm=False)
        return [list(reply.outputs[0].token_ids) for reply in replies]


PEERS = {"transformers": Transformers, "llama.cpp": LlamaServer, "llama.cpp-native": LlamaNative, "vllm": Vllm}


def vocabulary_of(file):
    from gguf import GGUFReader

    return int(GGUFReader(file).fields["llama.vocab_size"].contents())


def timed(work):
    start = time.perf_counter()
    out = work()
    return out, time.perf_counter() - start


def reply_to(peer, command):
    what, *numbers = command.split()
    numbers = [int(number) for number in numbers]
    if what == "answer":
        new, *ids = numbers
        prepare(peer, 1, len(ids) + new)
        out, wall = timed(lambda: peer.generate([ids], new, greedy=True))
        return {"wall_s": wall, "ids": out[0]}
    rows = token_rows(numbers[0], PROMPT if what == "decode" else numbers[1], peer.vocabulary)
    if what == "gradient":
        _, wall = timed(lambda: peer.gradient(rows, numbers[1]))
        return {"wall_s": wall, "tokens": sum(map(len, rows))}
    prepare(peer, len(rows), PROMPT + numbers[1])
    out, wall = timed(lambda: peer.generate(rows, numbers[1], greedy=False))
    return {"wall_s": wall, "tokens": sum(map(len, out))}


def prepare(peer, sequences, longest):
    """What a peer sets up for its number of sequences is not timed."""
    if hasattr(peer, "prepare"):
        peer.prepare(sequences, longest)


def serve(name, model, dtype, threads):
    # What a peer prints goes to stderr, its threads' and children's words too: stdout is for answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    peer = PEERS[name](model, dtype, int(threads))
    for line in sys.stdin:
        print(json.dumps(reply_to(peer, line) | {"peak_rss_mb": peak_mb()}), file=answers, flush=True)


def run_trl(folder, dtype, threads, group, steps, data):
    import re
    import warnings

    warnings.filterwarnings("ignore")
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(int(threads))
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, LONG[dtype]))
    rows = [json.loads(line) for line in Path(data).read_text().splitlines()]
    number = re.compile(r"-?\d+")

    def last_number_is_right(completions, answer, **_):
        found = [number.findall(completion[-1]["content"] if isinstance(completion, list) else completion) for completion in completions]
        return [float(bool(numbers) and numbers[-1] == gold) for numbers, gold in zip(found, answer)]

    marks = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_, **__):
            marks.append(time.perf_counter())

        def on_step_end(self, *_, **__):
            marks.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as output:
        config = GRPOConfig(output_dir=output, per_device_train_batch_size=32, num_generations=int(group), max_completion_length=64, num_iterations=1,
                            beta=0.0, learning_rate=1e-6, lr_scheduler_type="constant", temperature=1.0, max_steps=int(steps), save_strategy="no",
                            report_to=[], seed=1, use_cpu=True, bf16=False, gradient_checkpointing=False, disable_tqdm=True)
        GRPOTrainer(model=model, reward_funcs=last_number_is_right, args=config, processing_class=tokenizer, callbacks=[Clock()],
                    train_dataset=Dataset.from_list([{"prompt": row["prompt"], "answer": row["answer"]} for row in rows])).train()
    print("\n" + json.dumps({"steps_s": [b - a for a, b in zip(marks[::2], marks[1::2])], "peak_rss_mb": peak_mb()}), flush=True)


def main():
    if sys.argv[1:2] == ["serve"] and len(sys.argv) == 6 and sys.argv[2] in PEERS:
        return serve(*sys.argv[2:])
    if sys.argv[1:2] == ["trl"] and len(sys.argv) == 8:
        return run_trl(*sys.argv[2:])
    return sys.exit(__doc__)


if __name__ == "__main__":
    main()
