"""The memory plan against LibTorch's allocator, for models that this machine cannot hold: the host device computes nothing and touches no memory.

plan_test.py PROGRAM PRELOAD SOURCE_DIR [SHAPE...]
Two steps of each shape: sampling, update, checkpoint, and again. The most that LibTorch's allocator had handed out is held against --dry-run's plan, less
what the plan counts outside of it; what the allocator held beyond is cache and fragments.
"""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

program, preload, source = sys.argv[1:4]

MODELS = {
    "1.5b": dict(hidden_size=1536, intermediate_size=8960, num_attention_heads=12, num_key_value_heads=2, num_hidden_layers=28, vocab_size=151936,
                 tie_word_embeddings=True),
    "7b": dict(hidden_size=3584, intermediate_size=18944, num_attention_heads=28, num_key_value_heads=4, num_hidden_layers=28, vocab_size=152064,
               tie_word_embeddings=False),
}
MODELS["4-layers"] = dict(MODELS["1.5b"], num_hidden_layers=4, vocab_size=16384)


@dataclass
class Shape:
    model: str
    device_bytes: float
    prompts: int  # a step
    new_tokens: int
    # Whether a checkpoint is copied between the steps. An offloaded state is already in the host's memory, where the copy would be a real one.
    copied: bool = True
    adapters: int = 0  # rank of model.lora


SHAPES = {"4-layers": Shape("4-layers", 12e9, 8, 1024), "4-layers-lora": Shape("4-layers", 12e9, 8, 1024, adapters=16),
          "1.5b-24-lora": Shape("1.5b", 24e9, 8, 1024, copied=False, adapters=16), "7b-80-lora": Shape("7b", 80e9, 4, 4096, copied=False, adapters=16),
          "1.5b-quick": Shape("1.5b", 80e9, 8, 1024, copied=False),
          "1.5b-80": Shape("1.5b", 80e9, 32, 4096), "1.5b-141": Shape("1.5b", 141e9, 32, 4096),
          # The KV cache holds 13 and 151 sequences of 7B. A few more fill it as 512 do, which would wait for their turn.
          "7b-80": Shape("7b", 80e9, 2, 4096, copied=False), "7b-141-160": Shape("7b", 141e9, 10, 4096, copied=False), "7b-141": Shape("7b", 141e9, 32, 4096, copied=False)}
GROUP, PROMPT_TOKENS = 16, 1024


def shapes_of(model):
    d, i, v = model["hidden_size"], model["intermediate_size"], model["vocab_size"]
    kv = d // model["num_attention_heads"] * model["num_key_value_heads"]
    yield "model.embed_tokens.weight", (v, d)
    for layer in range(model["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        for name, rows in (("q", d), ("k", kv), ("v", kv)):
            yield f"{prefix}self_attn.{name}_proj.weight", (rows, d)
            yield f"{prefix}self_attn.{name}_proj.bias", (rows,)
        yield prefix + "self_attn.o_proj.weight", (d, d)
        yield prefix + "mlp.gate_proj.weight", (i, d)
        yield prefix + "mlp.up_proj.weight", (i, d)
        yield prefix + "mlp.down_proj.weight", (d, i)
        yield prefix + "input_layernorm.weight", (d,)
        yield prefix + "post_attention_layernorm.weight", (d,)
    yield "model.norm.weight", (d,)
    if not model["tie_word_embeddings"]:
        yield "lm_head.weight", (v, d)


def write_model(folder, model):
    """A sparse file of zeros, in bf16."""
    os.makedirs(folder)
    header, offset = {}, 0
    for name, shape in shapes_of(model):
        size = 2
        for n in shape:
            size *= n
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + offset)
    config = dict(model, model_type="qwen2", architectures=["Qwen2ForCausalLM"], max_position_embeddings=32768, rms_norm_eps=1e-6, rope_theta=1e6,
                  hidden_act="silu", torch_dtype="bfloat16", bos_token_id=1, eos_token_id=2)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file)
    tokenizer = os.path.join(source, "configs/quickstart/model")
    for name in os.listdir(tokenizer):
        if name.startswith("tokenizer"):
            with open(os.path.join(tokenizer, name), "rb") as a, open(os.path.join(folder, name), "wb") as b:
                b.write(a.read())


def write_problems(path, count):
    """As long as prompts may be; a token of the embedded model is a character."""
    with open(path, "w") as file:
        for i in range(count):
            file.write(json.dumps({"problem": ("%d+1=" % (i % 9)) * 255, "answer": "1"}) + "\n")


def start(folder, memory, arguments):
    environment = dict(os.environ, LD_PRELOAD=preload, GRPO_HOST_DEVICE_ARITHMETIC="0", GRPO_HOST_DEVICE_MEMORY=str(int(memory)),
                       GRPO_HOST_DEVICE_REPORT=os.path.join(folder, "report.json"))
    command = [program, "train", "--config", os.path.join(folder, "config.yaml"), *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def plan(folder, memory):
    process = start(folder, memory, ["--dry-run"])
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output[-4000:]
    return output


def train(folder, memory, steps, copied):
    """That many steps. A checkpoint is behind the last one, and with `copied` behind each: the device's part of it is waited for, not the disk's."""
    path = os.path.join(folder, "runs/big/metrics.jsonl")
    process = start(folder, memory, [f"trainer.steps={steps}", f"checkpoint.every_steps={int(copied)}"])
    while not os.path.exists(path) or sum(1 for _ in open(path)) < steps:
        if process.poll() is not None:
            raise AssertionError(process.stdout.read()[-4000:])
        time.sleep(0.1)
    process.kill()
    process.communicate()
    with open(path) as file:
        return [json.loads(line) for line in file]


CONFIG = """
run: {{name: big, output: {folder}/runs}}
model: {{path: {folder}/model, device: cuda, dtype: bfloat16, template: none, lora: {{rank: {adapters}}}}}
data: {{train: [{folder}/problems.jsonl], max_prompt_tokens: {prompt}}}
rollout: {{prompts_per_step: {prompts}, group_size: {group}, max_new_tokens: {tokens}}}
reward: {{terms: [{{type: math}}], max_bad_golds: 1.0}}
algorithm: {{entropy_coef: 1.0e-9}}
trainer: {{micro_batch_tokens: 40960, threads: 1}}  # a second one would spin while the first launches
checkpoint: {{export_model: false}}
logging: {{rollouts_per_step: 0, tensorboard: false, console: plain}}
"""


def parameters(model):
    return sum(rows * (shape[0] if shape else 1) for _, (rows, *shape) in shapes_of(model))


def check_room(folder, model):
    needed = 12 * parameters(model) * 1.05
    assert shutil.disk_usage(folder).free > needed, f"a checkpoint of {needed / 1e9:.0f} GB has no room in {folder} (TMPDIR names another folder)"


def check(name):
    shape = SHAPES[name]
    model, memory = MODELS[shape.model], shape.device_bytes
    with tempfile.TemporaryDirectory() as folder:
        if shape.copied:
            check_room(folder, model)
        write_model(os.path.join(folder, "model"), model)
        write_problems(os.path.join(folder, "problems.jsonl"), 2 * shape.prompts)
        with open(os.path.join(folder, "config.yaml"), "w") as file:
            file.write(CONFIG.format(folder=folder, prompt=PROMPT_TOKENS, prompts=shape.prompts, group=GROUP, tokens=shape.new_tokens,
                                     adapters=shape.adapters))
        text = plan(folder, memory)
        print(text[text.index("memory of"):].rstrip(), flush=True)
        peaks = [float(gb) for gb in re.search(r"peak: rollout ([\d.]+) GB, update ([\d.]+) GB", text).groups()]
        outside = float(re.search(r"context, libraries and graphs +([\d.]+) GB", text).group(1))
        begin = time.monotonic()
        lines = train(folder, memory, 2, shape.copied)
        with open(os.path.join(folder, "report.json")) as file:
            report = json.load(file)
        print(f"{name}: two steps, {[line['tokens/completion'] for line in lines]} tokens, in {time.monotonic() - begin:.0f} s; held after each "
              f"{[line['memory/peak_bytes'] / 1e9 for line in lines]} GB", flush=True)
    return max(peaks) - outside, report["most_handed_out"] / 1e9, report["most_device_bytes"] / 1e9


def main():
    for name in sys.argv[4:] or ["4-layers", "4-layers-lora", "1.5b-quick"]:
        planned, used, held = check(name)
        print(f"{name}: planned {planned:.2f} GB, LibTorch handed out {used:.2f} GB ({used / planned - 1:+.1%}) and held {held:.2f} GB "
              f"({held / used - 1:+.1%})", flush=True)
        assert abs(used / planned - 1) < 0.03, name


main()
