#!/usr/bin/env bash
# Campaigns against a run, as docs/reliability.md tells of them. Builds what they need. Without arguments all of them, for
# hours; else what is asked for:
#   scripts/soak.sh --kills 200         kill -9 in every phase and at random moments, one and two ranks, of all or one of them
#   scripts/soak.sh --faults all        every call below the run folder, of a fresh and of a resumed run, fails once (or a number: so
#                                       many of them); --kinds EIO,ENOSPC,EACCES,short,kill chooses how
#   scripts/soak.sh --damage            bit flips, truncations and losses in every file of a checkpoint
#   scripts/soak.sh --minutes 120       two ranks with restarts; memory, descriptors and threads
# Finished trials are noted in build/soak.state and not repeated; remove the file to begin anew.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- --kills 200 --faults all --damage --minutes 120
scripts/build.sh --target grpo grpo_fault
exec python3 tests/soak/soak.py build/bin/grpo . --fault-library "$(find build -name 'libgrpo_fault.so' | head -1)" --state build/soak.state "$@"
