#!/usr/bin/env python3
"""The figures of scripts/real_models.sh. Of run folders it chooses a learning rate and keeps what the page docs/results/real_models.md is made of; of what is kept it makes
the page's tables and pictures again, without the runs.

  scripts/real_models_table.py best runs/real/sums_rates g2 1e-5 3e-5 1e-4    the rate whose evaluations behind the start are best on average
"""
import argparse
from pathlib import Path
from statistics import mean

from arm_runs import accuracies, fail, seeds_of


def average_accuracy(lines):
    """Over the evaluations behind the start, which are evenly spaced: a run that learns sooner has more, and one that unlearns less."""
    return mean(value for _, value in accuracies(lines)[1:])


def best_rate(folder, arm, rates):
    """Of rates whose runs are as good as one another the smallest, since a run rather breaks at a larger one."""
    found = {rate: mean(average_accuracy(lines) for lines in seeds_of(folder, f"{arm}_lr{rate}")) for rate in sorted(rates, key=float)}
    return max(found, key=found.get)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    best = commands.add_parser("best")
    best.add_argument("folder", type=Path)
    best.add_argument("arm")
    best.add_argument("rates", nargs="+")
    options = parser.parse_args()
    print(best_rate(options.folder, options.arm, options.rates))


if __name__ == "__main__":
    main()
