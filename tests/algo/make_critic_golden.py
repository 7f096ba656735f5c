#!/usr/bin/env python3
"""Writes tests/golden/loss/critic.json: PPO's advantages, returns and value loss in float64, from the papers' sums rather than
from the recursion that the program uses. Needs PyTorch; see tests/golden/README.md.

  tests/algo/make_critic_golden.py tests/golden/loss/critic.json
"""
import json
import sys

import torch

torch.manual_seed(20)
torch.set_default_dtype(torch.float64)
LENGTHS = [1, 2, 5, 9]


def advantages(rewards, values, gamma, lam):
    """The exponentially weighted mean of all k-step advantages (arXiv 1506.02438, eq. 16), written out to the completion's end."""
    n = len(rewards)
    behind = torch.cat([values, torch.zeros(1)])
    result = []
    for t in range(n):
        total, weights = 0.0, 0.0
        for k in range(1, n - t + 1):
            k_step = sum(gamma**i * rewards[t + i] for i in range(k)) + gamma**k * behind[t + k] - values[t]
            # The last one stands for all longer ones too, which are the same.
            weight = (1 - lam) * lam ** (k - 1) if k < n - t else lam ** (k - 1)
            total, weights = total + weight * k_step, weights + weight
        assert abs(weights - 1.0) < 1e-12
        result.append(total)
    return torch.stack(result)


def completions(gamma, lam):
    rows = []
    for length in LENGTHS:
        rewards = 0.1 * torch.randn(length)
        rewards[-1] += 1.0
        values = torch.randn(length)
        expected = advantages(rewards, values, gamma, lam)
        rows.append({"rewards": rewards.tolist(), "values": values.tolist(), "advantages": expected.tolist(), "returns": (expected + values).tolist()})
    return rows


def value_loss(clip):
    old, returns = torch.randn(40), torch.randn(40)
    values = (old + 0.3 * torch.randn(40)).requires_grad_()
    terms = (values - returns) ** 2
    if clip is not None:
        terms = torch.maximum(terms, (old + torch.clamp(values - old, -clip, clip) - returns) ** 2)
    terms = 0.5 * terms
    terms.sum().backward()
    clipped = 0.0 if clip is None else ((values - old).abs() > clip).logical_and(terms > 0.5 * (values - returns) ** 2).double().mean().item()
    return {"clip": clip, "values": values.tolist(), "old_values": old.tolist(), "returns": returns.tolist(), "terms": terms.tolist(),
            "gradient": values.grad.tolist(), "clip_fraction": clipped}


def main():
    golden = {"gae": [{"gamma": gamma, "lambda": lam, "completions": completions(gamma, lam)} for gamma, lam in ((1.0, 1.0), (1.0, 0.95), (0.9, 0.5), (0.99, 0.0))],
              "value_loss": [value_loss(clip) for clip in (None, 0.2, 0.05)]}
    with open(sys.argv[1], "w") as file:
        json.dump(golden, file, indent=1)


main()
