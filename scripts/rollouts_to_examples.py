#!/usr/bin/env python3
"""Turns the rollout files of a run into written completions for algorithm.method: sft: {"id", "problem", "answer"}, one a line.

  scripts/rollouts_to_examples.py runs/start/rollouts/*.jsonl --problems data/train.jsonl --output data/right.jsonl

Every completion that was judged right and ended by itself becomes one, as often as it was sampled: what the policy says often is learned often.
--problems names the files that the run was trained on (JSON Lines, in their order), from which each completion takes its problem as it was
written; --prompt-key and --answer-key are data.prompt_key and data.answer_key of the run that is to learn.
"""
import json

from rollouts_to_pairs import fail, parser_of, problems_of, rows_of


def main():
    parser = parser_of(__doc__, required=True)
    parser.add_argument("--answer-key", default="answer")
    options = parser.parse_args()
    problems = problems_of(options.problems, options.prompt_key)
    sampled = right = 0
    with open(options.output, "w", encoding="utf-8") as output:
        for path in options.rollouts:
            for row in rows_of(path):
                sampled += 1
                if row["verdict"] != "right" or row["finish_reason"] == "length":
                    continue
                if row["prompt_id"] not in problems:
                    fail(f"{path}: no problem has the id {row['prompt_id']}")
                right += 1
                output.write(json.dumps({"id": f"{row['step']}-{sampled}", options.prompt_key: problems[row["prompt_id"]], options.answer_key: row["text"]}) + "\n")
    if right == 0:
        fail(f"none of {sampled} completions is right")
    print(f"{right} right of {sampled} completions in {options.output}")


if __name__ == "__main__":
    main()
