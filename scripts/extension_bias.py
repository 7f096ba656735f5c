#!/usr/bin/env python3
"""What rollout.adaptive.mode: extend does to the expected gradient, exactly, for rewards of 0 and 1.

A policy that is right with probability p has the score 1/p for a right answer and -1/(1-p) for a wrong one, and dp/dp = 1. With the advantage r - mean of the others
(rloo) the expectation of A * score is 1 for every rollout of a group of fixed size. A group that stops when its own rewards differ does not keep that: the table shows
E[sum of A * score] / E[rollouts] by p. Prints a Markdown table. Argument: the sizes (default 2 4 8 16)."""
import sys
from math import comb


def gradient(right, size, p):
    """Sum of A * score over a group of which `right` are right."""
    return right * (size - right) / ((size - 1) * p * (1 - p))


def binomial(right, size, p):
    return comb(size, right) * p ** right * (1 - p) ** (size - right)


def extended(sizes, p):
    """Expected sums of A * score with all samples and with the last extension's alone, the expected rollouts, and the chance that the group ends tied."""
    of_all, of_last, rollouts, before = 0.0, 0.0, 0.0, 0
    reached = {0: 0.5, 1: 0.5}  # chance to come to this size with all wrong, with all right; at first nothing is known
    for size in sizes:
        new, tied = size - before, {}
        for state, chance in reached.items():
            rollouts += chance * new
            for right in range(new + 1):
                weight = chance * binomial(right, new, p)
                of_all += weight * gradient(right + state * before, size, p)
                of_last += weight * gradient(right, new, p)
                if right + state * before in (0, size):
                    key = 1 if right + state * before == size else 0
                    tied[key] = tied.get(key, 0.0) + weight
        reached, before = tied, size
    return of_all, of_last, rollouts, sum(reached.values())


def main():
    sizes = [int(size) for size in sys.argv[1:]] or [2, 4, 8, 16]
    print("| p | rollouts a group | groups that end tied | `all` | `last_extension` |\n|---|---|---|---|---|")
    for p in (0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98):
        of_all, of_last, rollouts, tied = extended(sizes, p)
        print(f"| {p} | {rollouts:.2f} | {100 * tied:.1f} % | {of_all / rollouts:.3f} | {of_last / rollouts:.3f} |")


if __name__ == "__main__":
    main()
