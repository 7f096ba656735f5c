#!/usr/bin/env bash
# Trains real language models on a CPU with groups of several sizes, at equal rollouts. scripts/real_models_table.py makes docs/results/real_models.md of the runs.
#   sums    SmolLM2-135M-Instruct (scripts/get_smollm2.sh), one-digit sums: 96 rollouts a step, 3,840 in all
#   sums2   the same with two-digit sums beside them: 128 rollouts a step, 7,680 in all
#   gsm8k   Qwen2.5-Coder-0.5B-Instruct on GSM8K: 64 rollouts a step, 2,560 in all; adapters; one seed and the rate 1e-4 unless --seeds and --rates say more
# For sums and sums2 the learning rates of `g2` and `g16` are chosen first, alike: a run each at every rate of --rates, of a seed that is used for nothing else; the rate whose evaluations are
# best on average is taken, and the smaller of two that differ by less than a percent. The other arms learn at the rate of `g2`.
#
#   scripts/real_models.sh [--tasks "sums gsm8k"] [--arms "g2 g16 ..."] [--seeds "1 2 3"] [--rates "1e-5 3e-5 1e-4"] [--rollouts N] [--output runs/real] [key=value ...]
#
# --rollouts 192 --seeds 1 --tasks sums tries it in a few minutes. Interrupted (Ctrl-C), the same command goes on where it was: finished runs are passed over, an unfinished one resumes
# exactly. A finished run loses its checkpoints (1.5 GB of SmolLM2) and keeps its figures and answers. key=value are overrides for all runs.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."

# Of each arm the keys in which it differs. Prompts are so many that a step takes about as many rollouts as one of g2 at the accuracy of the start.
declare -A keys=(
  [sums/g1]="rollout.group_size=1 rollout.prompts_per_step=96"
  [sums/g2]="rollout.group_size=2 rollout.prompts_per_step=48"
  [sums/g16]="rollout.group_size=16 rollout.prompts_per_step=6"
  [sums/g2_refill]="rollout.group_size=2 rollout.prompts_per_step=16 rollout.resample.max_rollouts=192"
  [sums/extend]="rollout.adaptive.mode=extend rollout.prompts_per_step=15"
  [sums2/g1]="rollout.group_size=1 rollout.prompts_per_step=128"
  [sums2/g2]="rollout.group_size=2 rollout.prompts_per_step=64"
  [sums2/g16]="rollout.group_size=16 rollout.prompts_per_step=8"
  [sums2/g2_refill]="rollout.group_size=2 rollout.prompts_per_step=8 rollout.resample.max_rollouts=256"
  [sums2/extend]="rollout.adaptive.mode=extend rollout.prompts_per_step=10"
  [gsm8k/g2]="rollout.group_size=2 rollout.prompts_per_step=32"
  [gsm8k/g16]="rollout.group_size=16 rollout.prompts_per_step=4"
)
declare -A all=([sums]="g1 g2 g16 g2_refill extend" [sums2]="g1 g2 g16 g2_refill extend" [gsm8k]="g2 g16")
declare -A budget=([sums]=3840 [sums2]=7680 [gsm8k]=2560)
grid_seed=100

tasks="sums" arms="" seeds="" rates="" rollouts="" output=runs/real overrides=()
while [ $# -gt 0 ]; do
  case $1 in --tasks | --arms | --seeds | --rates | --rollouts | --output) [ $# -gt 1 ] || { echo "real_models: $1 lacks its value" >&2; exit 2; } ;; esac
  case $1 in
    --tasks) tasks=$2; shift 2 ;;
    --arms) arms=$2; shift 2 ;;
    --seeds) seeds=$2; shift 2 ;;
    --rates) rates=$2; shift 2 ;;
    --rollouts) rollouts=$2; shift 2 ;;
    --output) [[ $2 == /* || $here == "$PWD" ]] && output=$2 || output=$here/$2; shift 2 ;;
    *=*) overrides+=("$1"); shift ;;
    *) echo "real_models: $1 is no option and no key=value" >&2; exit 2 ;;
  esac
done
[[ $seeds =~ ^(\ *[0-9]+)*\ *$ ]] || { echo "real_models: --seeds \"$seeds\" is no list of numbers" >&2; exit 2; }
[[ $rates =~ ^(\ *[0-9.]+(e-?[0-9]+)?)*\ *$ ]] || { echo "real_models: --rates \"$rates\" is no list of numbers" >&2; exit 2; }
[[ $rollouts =~ ^[0-9]*$ ]] || { echo "real_models: --rollouts $rollouts is no number" >&2; exit 2; }
for task in $tasks; do
  [ -n "${all[$task]:-}" ] || { echo "real_models: no task is called $task; there are sums, sums2 and gsm8k" >&2; exit 2; }
  for arm in $arms; do
    [[ " ${all[$task]} " == *" $arm "* ]] || { echo "real_models: $task has no arm $arm; there are ${all[$task]}" >&2; exit 2; }
  done
done

scripts/setup.sh
scripts/build.sh --target grpo

# train FOLDER TASK ARM NAME SEED RATE: one run, unless it is finished.
train() {
  local folder=$output/$1 run=$output/$1/$4_seed$5 goal=${rollouts:-${budget[$2]}}
  if [ -f "$run/finished" ]; then
    [ "$(cat "$run/finished")" = "$goal" ] && return 0
    echo "real_models: $run ended at $(cat "$run/finished") rollouts and cannot go on to $goal: name another --output" >&2
    exit 2
  fi
  # shellcheck disable=SC2086  # keys are words
  build/bin/grpo-train --config "configs/real/$2.yaml" --output "$folder" run.name="$4_seed$5" run.seed="$5" optimizer.lr="$6" ${keys[$2/$3]} \
    data.epochs=1000 trainer.steps=100000 trainer.stop_on="{metric: rollouts/total, at_least: $goal}" "${overrides[@]}"
  rm -rf "$run/checkpoints"
  echo "$goal" >"$run/finished"
}

# train_all TASK SEEDS RATES: the arms of a task; of several rates the best one of g2 and of g16 is found first.
train_all() {
  local task=$1 task_seeds=$2 task_rates=$3 task_arms=${arms:-${all[$1]}} arm rate seed
  local -A best=([g2]=$task_rates [g16]=$task_rates)
  if [[ $task_rates == *" "* ]]; then
    for arm in g2 g16; do
      for rate in $task_rates; do train "${task}_rates" "$task" "$arm" "${arm}_lr$rate" $grid_seed "$rate"; done
      # shellcheck disable=SC2086  # rates are words
      best[$arm]=$(scripts/real_models_table.py best "$output/${task}_rates" "$arm" $task_rates)
      echo "real_models: $task, $arm: learning rate ${best[$arm]} of $task_rates"
    done
  fi
  for seed in $task_seeds; do
    for arm in $task_arms; do train "$task" "$task" "$arm" "$arm" "$seed" "${best[$arm]:-${best[g2]}}"; done
  done
}

for task in $tasks; do
  case $task in
    sums | sums2)
      scripts/get_smollm2.sh
      train_all "$task" "${seeds:-1 2 3}" "${rates:-1e-5 3e-5 1e-4}"
      ;;
    gsm8k)
      scripts/get_model.sh Qwen2.5-Coder-0.5B-Instruct
      scripts/get_data.sh gsm8k_train gsm8k_test
      mkdir -p runs/real/data
      head -n 200 data/gsm8k_test.jsonl >runs/real/data/gsm8k_test_200.jsonl
      train_all gsm8k "${seeds:-1}" "${rates:-1e-4}"
      ;;
  esac
done
