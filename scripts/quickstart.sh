#!/usr/bin/env bash
# From nothing to a result: installs what is missing, builds, trains the embedded model with groups of 2 and of 16 on the
# same number of rollouts a step, and prints the comparison. Extra arguments are key=value overrides for both runs.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=runs
for word in "$@"; do
  case $word in
    run.output=*) runs=${word#*=} ;;
    run.name=*) echo "quickstart: the two runs have names of their own; run.output=FOLDER is where they go" >&2; exit 2 ;;
  esac
done

scripts/setup.sh
# The tests are not needed to try the program; scripts/test.sh builds them too.
scripts/build.sh --target grpo

for arm in 2grpo 16grpo; do
  echo
  echo "== quickstart_$arm =="
  build/bin/grpo-train --config "quickstart_$arm" --resume never "$@"
done

echo
build/bin/grpo compare "$runs/quickstart_2grpo" "$runs/quickstart_16grpo" --output "$runs/quickstart_report.html"
