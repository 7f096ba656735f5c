"""What a machine allows a model that is decoded: the time of its matrix products at the rate of a large product, or of reading its weights and its keys and values."""
import math
import statistics

BYTES = {"fp32": 4.0, "bf16": 2.0, "q8_0": 34 / 32}  # of one weight; Q8_0: blocks of 32 bytes and a scale


class Shape:
    """The products of a Llama-like model, from its config.json."""

    def __init__(self, config):
        hidden, heads = config["hidden_size"], config["num_attention_heads"]
        head = config.get("head_dim") or hidden // heads
        self.layers, self.queries, self.keys = config["num_hidden_layers"], heads * head, config["num_key_value_heads"] * head
        self.layer = hidden * (2 * self.queries + 2 * self.keys + 3 * config["intermediate_size"])
        self.head = hidden * config["vocab_size"]

    def weights(self):
        return self.layers * self.layer + self.head


def step_seconds(shape, sequences, context, dtype, flops, bandwidth):
    """The two bounds of a decode step: multiplying and reading. Keys and values are as wide as the weights, 2 bytes in Q8_0."""
    operations = 2 * sequences * (shape.weights() + 2 * context * shape.queries * shape.layers)
    cache = sequences * context * 2 * shape.keys * shape.layers * (4 if dtype == "fp32" else 2)
    return operations / flops, (BYTES[dtype] * shape.weights() + cache) / bandwidth


def decode_limit(shape, sequences, prompt, new, dtype, flops, bandwidth):
    """New tokens a second of a rollout with its prompts, and what bounds its decode steps: "compute" or "memory"."""
    prefill = 2 * sequences * (prompt * (shape.layers * shape.layer + prompt * shape.queries * shape.layers) + shape.head) / flops
    compute, memory = step_seconds(shape, sequences, prompt + new / 2, dtype, flops, bandwidth)
    seconds = max(prefill, BYTES[dtype] * shape.weights() / bandwidth) + (new - 1) * max(compute, memory)
    return sequences * new / seconds, "memory" if memory > compute else "compute"


def gradient_seconds(shape, rows, length, trained, flops):
    """Multiplying forward and backward, which is three times the work of forward: of rows of so many tokens, of which `trained` have a loss each. What is computed twice to save memory is not counted."""
    forward = rows * (length * (shape.layers * shape.layer + (length + 1) * shape.queries * shape.layers) + trained * shape.head)
    return 6 * forward / flops


def slope(sizes, values):
    """The exponent p of values ~ sizes^p: the least-squares slope of their logarithms."""
    xs, ys = [math.log(size) for size in sizes], [math.log(value) for value in values]
    x, y = statistics.fmean(xs), statistics.fmean(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys)) / sum((a - x) ** 2 for a in xs)
