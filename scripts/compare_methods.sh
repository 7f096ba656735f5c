#!/usr/bin/env bash
# Compares what can be done about tied groups, whose completions are all right or all wrong, with the embedded model and the same number of rollouts for each way: groups of one to sixteen
# completions, fresh prompts in place of tied groups, groups that grow, groups whose size is predicted, and problems of middling difficulty. Beside them stand losses that set better completions
# against worse ones, a critic, and learning from completions that were sampled before. Every arm samples about 128 rollouts a step and learns at the rate of the quickstart; there are three seeds.
# Writes OUTPUT/report.html (curves over rollouts and over time, of the arms that sample while they learn), and OUTPUT/methods.md with accuracy by rollouts spent, time and memory.
#
#   scripts/compare_methods.sh [--rollouts 51200] [--seeds "1 2 3"] [--arms "g1 g2 ..."] [--output runs/methods] [key=value ...]
#
# --rollouts 2560 --seeds 1 tries it in a minute or two. Interrupted, the same command goes on where it was. key=value are overrides for all runs. OUTPUT may hold runs of
# other arms and seeds: the tables are of those asked for.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."

# Of each arm the keys in which it differs. Prompts are so many that a step takes about 128 rollouts at the model's accuracy at the start.
declare -A keys=(
  [g1]="rollout.group_size=1 rollout.prompts_per_step=128"
  [g1_filtered]="rollout.group_size=1 rollout.prompts_per_step=128 algorithm.negative_tokens=filtered"
  [g2]="rollout.group_size=2 rollout.prompts_per_step=64"
  [g4]="rollout.group_size=4 rollout.prompts_per_step=32"
  [g8]="rollout.group_size=8 rollout.prompts_per_step=16"
  [g16]="rollout.group_size=16 rollout.prompts_per_step=8"
  [g2_refill]="rollout.group_size=2 rollout.prompts_per_step=28 rollout.resample.max_rollouts=224"
  [g2_uncertain]="rollout.group_size=2 rollout.prompts_per_step=64 data.order=uncertain"
  [g2_uncertain_refill]="rollout.group_size=2 rollout.prompts_per_step=32 data.order=uncertain rollout.resample.max_rollouts=256"
  [extend]="rollout.adaptive.mode=extend rollout.prompts_per_step=24"
  [extend_last]="rollout.adaptive.mode=extend rollout.adaptive.advantage_from=last_extension rollout.prompts_per_step=24"
  [predict]="rollout.adaptive.mode=predict rollout.prompts_per_step=48"
  [pair]="rollout.group_size=2 rollout.prompts_per_step=64 algorithm.loss=pair"
  [pair_logistic]="rollout.group_size=2 rollout.prompts_per_step=64 algorithm.loss=pair_logistic"
  [pair_logistic16]="rollout.group_size=16 rollout.prompts_per_step=8 algorithm.loss=pair_logistic"
  [online_dpo]="rollout.group_size=2 rollout.prompts_per_step=64 algorithm.method=online_dpo"
  [ppo]="rollout.group_size=1 rollout.prompts_per_step=128 algorithm.method=ppo algorithm.ppo.critic_lr=1e-3"
)
# Those that sample first and then learn, in rounds (scripts/sample_then_train.py): method, rounds, passes over what was kept.
declare -A rounds=(
  [sft]="sft --rounds 1 data.epochs=6"
  [sft_rounds]="sft --rounds 4 data.epochs=6"
  [dpo]="dpo --rounds 1 data.epochs=1"
)
all="g1 g1_filtered g2 g4 g8 g16 g2_refill g2_uncertain g2_uncertain_refill extend extend_last predict pair pair_logistic pair_logistic16 online_dpo ppo sft sft_rounds dpo"
# Words as a person would type them: quotes where the shell needs them only.
show() { for word in "$@"; do [[ $word =~ ^[[:alnum:]_./,:=@-]+$ ]] && printf ' %s' "$word" || printf ' %s' "${word@Q}"; done; }

arms=$all rollouts=51200 seeds="1 2 3" output=runs/methods overrides=() command="scripts/compare_methods.sh$(show "$@")"
while [ $# -gt 0 ]; do
  case $1 in --rollouts | --seeds | --arms | --output) [ $# -gt 1 ] || { echo "compare_methods: $1 lacks its value" >&2; exit 2; } ;; esac
  case $1 in
    --rollouts) rollouts=$2; shift 2 ;;
    --seeds) seeds=$2; shift 2 ;;
    --arms) arms=$2; shift 2 ;;
    --output) [[ $2 == /* || $here == "$PWD" ]] && output=$2 || output=$here/$2; shift 2 ;;
    *=*) overrides+=("$1"); shift ;;
    *) echo "compare_methods: $1 is no option and no key=value" >&2; exit 2 ;;
  esac
done
for arm in $arms; do
  [ -n "${keys[$arm]:-}${rounds[$arm]:-}" ] || { echo "compare_methods: no arm is called $arm; there are $all" >&2; exit 2; }
done
[[ $seeds =~ ^\ *[0-9]+(\ +[0-9]+)*\ *$ ]] || { echo "compare_methods: --seeds \"$seeds\" is no list of numbers" >&2; exit 2; }

scripts/setup.sh
scripts/build.sh --target grpo

common=(eval.samples=2 checkpoint.keep=1 logging.tensorboard=false "${overrides[@]}")
runs=()
for seed in $seeds; do
  for arm in $arms; do
    run="$output/${arm}_seed$seed"
    # shellcheck disable=SC2086  # keys are words
    if [ -n "${rounds[$arm]:-}" ]; then
      scripts/sample_then_train.py ${rounds[$arm]} --rollouts "$rollouts" --problems configs/quickstart/train.jsonl --output "$run" --seed "$seed" \
        rollout.group_size=2 rollout.prompts_per_step=64 eval.every_steps=40 "${common[@]}"
    else
      build/bin/grpo-train --config quickstart_2grpo --output "$output" run.name="${arm}_seed$seed" run.seed="$seed" ${keys[$arm]} \
        data.epochs=1000 trainer.steps=100000 trainer.stop_on="{metric: rollouts/total, at_least: $rollouts}" \
        eval.every_steps=4 checkpoint.every_steps=50 checkpoint.export_model=false "${common[@]}"
      runs+=("$run")
    fi
  done
done

[ ${#runs[@]} = 0 ] || build/bin/grpo compare "${runs[@]}" --output "$output/report.html"
{
  echo "Measured $(date -u +%Y-%m-%d) at commit $(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown) on $(nproc) cores of $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), with"
  echo
  echo "    $command"
  echo
  # shellcheck disable=SC2086  # arms and seeds are words
  scripts/budget_table.py "$output" $arms --seeds $seeds
} >"$output/methods.md.new"
mv "$output/methods.md.new" "$output/methods.md"
cat "$output/methods.md"
[ ${#runs[@]} = 0 ] || echo "$output/report.html"
