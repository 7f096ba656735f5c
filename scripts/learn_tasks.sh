#!/usr/bin/env bash
# Three tasks beyond mathematics, each learnt by a model here and judged exactly (docs/results/tasks.md):
#   countdown  three numbers and a target -> an expression; a model of 0.25 M weights, taught by worked examples first; reward 0 or 1
#   sentences  a sentence with given words and of a given length; SmolLM2-135M-Instruct; a reward between 0 and 1 from a program
#   functions  a small Python function; SmolLM2-135M-Instruct; unit tests run in a sandbox
# Writes runs/tasks/TASK.html (curves, rollouts side by side) and runs/tasks/tasks.md with held-out figures before and after.
#
#   scripts/learn_tasks.sh [--tasks "countdown sentences functions"] [--seeds "1 2"] [key=value ...]
#
# --seeds 1 trainer.steps=10 tries it. Interrupted, the same command goes on where it was. key=value are overrides for the runs that
# learn by rewards. A run takes two to six minutes of one core, and the examples of countdown two before that.
set -euo pipefail
cd "$(dirname "$0")/.."

tasks="countdown sentences functions" seeds="1 2" overrides=() command="scripts/learn_tasks.sh $*"
while [ $# -gt 0 ]; do
  case $1 in
    --tasks) tasks=$2; shift 2 ;;
    --seeds) seeds=$2; shift 2 ;;
    *=*) overrides+=("$1"); shift ;;
    *) echo "learn_tasks: $1 is no option and no key=value" >&2; exit 2 ;;
  esac
done
for task in $tasks; do
  case $task in
    countdown | sentences | functions) ;;
    *) echo "learn_tasks: no task is called $task; there are countdown, sentences and functions" >&2; exit 2 ;;
  esac
done

scripts/setup.sh
scripts/build.sh --target grpo

# problems FILE ARGUMENTS...: written once, as the generator's arguments say.
problems() {
  local file=runs/tasks/data/$1.jsonl
  shift
  [ -f "$file" ] || { scripts/make_problems.py "$@" --output "$file.new" && mv "$file.new" "$file"; }
}

mkdir -p runs/tasks/data
all=()
for task in $tasks; do
  case $task in
    countdown)
      problems countdown_texts --task countdown_texts --count 153600
      problems countdown --task countdown_short --count 4000 --unique
      problems countdown_heldout --task countdown_short --count 256 --unique --split heldout
      build/bin/grpo-train --config configs/tasks/countdown_teach.yaml
      ;;
    sentences)
      scripts/get_smollm2.sh
      problems sentences --task sentences --count 1024 --unique
      problems sentences_heldout --task sentences --count 64 --unique --split heldout
      ;;
    functions)
      scripts/get_smollm2.sh
      problems functions --task functions --count 1024
      problems functions_heldout --task functions --count 40 --unique --split heldout
      problems functions_new --task functions_new --count 40 --unique
      ;;
  esac
  runs=()
  for seed in $seeds; do
    build/bin/grpo-train --config "configs/tasks/$task.yaml" run.name="${task}_seed$seed" run.seed="$seed" "${overrides[@]}"
    runs+=("runs/tasks/${task}_seed$seed")
  done
  build/bin/grpo compare "${runs[@]}" --output "runs/tasks/$task.html"
  all+=("${runs[@]}")
done

{
  echo "Measured $(date -u +%Y-%m-%d) at commit $(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown) on $(nproc) cores of $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), with"
  echo
  echo "    $command"
  echo
  scripts/task_table.py "${all[@]}"
} >runs/tasks/tasks.md.new
mv runs/tasks/tasks.md.new runs/tasks/tasks.md
cat runs/tasks/tasks.md
