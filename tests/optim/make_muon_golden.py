#!/usr/bin/env python3
"""Writes tests/golden/muon/steps.json: steps of Muon in float64 by the formulas of grpo/optim/optimizer.h, and prints how far
torch.optim.Muon (bf16 products) is from them. Needs PyTorch 2.9 or later; see tests/golden/README.md.

  tests/optim/make_muon_golden.py tests/golden/muon/steps.json
"""
import json
import sys

import torch

CONFIG = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.1}
SHAPES = {"tall": (12, 5), "wide": (4, 9), "square": (6, 6)}
STEPS = 4


def direction(update):
    """The matrix with its singular values taken towards 1, from its decomposition: s -> a s + b s^3 + c s^5, five times."""
    left, values, right = torch.linalg.svd(update / update.norm(), full_matrices=False)
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return 0.2 * max(update.shape) ** 0.5 * (left * values) @ right


def steps(weight, gradients):
    momentum = torch.zeros_like(weight)
    for gradient in gradients:
        momentum = CONFIG["momentum"] * momentum + gradient
        weight = weight * (1 - CONFIG["lr"] * CONFIG["weight_decay"]) - CONFIG["lr"] * direction(gradient + CONFIG["momentum"] * momentum)
        yield weight, momentum


def steps_of_torch(weight, gradients):
    parameter = torch.nn.Parameter(weight.float())
    optimizer = torch.optim.Muon([parameter], adjust_lr_fn="match_rms_adamw", **CONFIG)
    for gradient in gradients:
        parameter.grad = gradient.float()
        optimizer.step()
        yield parameter.detach().double()


def as_json(tensor):
    return {"shape": list(tensor.shape), "dtype": "float64", "data": tensor.flatten().tolist()}


def main():
    generator = torch.Generator().manual_seed(20261129)
    random = lambda shape: torch.randn(shape, generator=generator, dtype=torch.float64).float().double()  # what fp32 holds
    golden = {"config": CONFIG, "matrices": {}}
    for name, shape in SHAPES.items():
        weight, gradients = random(shape), [random(shape) for _ in range(STEPS)]
        ours = list(steps(weight, gradients))
        off = max((mine - peer).abs().max().item() for (mine, _), peer in zip(ours, steps_of_torch(weight, gradients)))
        moved = (ours[-1][0] - weight).abs().max().item()
        print(f"{name}: moved by at most {moved:.4f}, torch.optim.Muon differs by at most {off:.6f}")
        golden["matrices"][name] = {
            "weight": as_json(weight),
            "gradients": [as_json(g) for g in gradients],
            "weights": [as_json(w) for w, _ in ours],
            "momentum": as_json(ours[-1][1]),
        }
    with open(sys.argv[1], "w") as file:
        json.dump(golden, file)
        file.write("\n")


if __name__ == "__main__":
    main()
