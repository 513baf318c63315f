#!/bin/sh
# Every figure that is wanted of a GPU, into benchmarks/results/*.json and RESULTS.md.
#
#   sh benchmarks/on_gpu.sh DATA [AIRBENCH]
#
# DATA: image folder (train/<class>/, test/<class>/). AIRBENCH: a checkout of
# KellerJordan/cifar10-airbench; without it that comparison is left out. A call takes at most ten
# minutes and exits with 75 while something is left: call it again until it exits with 0. On one
# H200 that should be five or six calls, about half of them for the equivalence test (an estimate).
# PYTHON names the interpreter, RESULTS another folder than benchmarks/results.
set -u
data=${1:?usage: on_gpu.sh DATA [AIRBENCH]}
airbench=${2:-}
here=$(dirname "$0")
python=${PYTHON:-python}
results=${RESULTS:-$here/results}
begun=$(date +%s)
status=0

# What one benchmark may still begin, in minutes, so that the whole call ends within ten.
minutes_left() { echo $(( (480 - ($(date +%s) - begun)) / 60 )); }

measure() { # name, script, arguments
  name=$1; shift
  if [ "$(minutes_left)" -lt 1 ]; then status=75; return; fi
  "$python" "$@" --minutes "$(minutes_left)" --output "$results/$name.json"
  case $? in
    0) ;;
    75) status=75 ;;
    *) [ "$status" = 75 ] || status=1 ;;
  esac
}

sweep() { # a contender that begins late would not end within the call
  if [ "$(minutes_left)" -lt 5 ] && ! finished sweep; then status=75; return; fi
  "$python" "$here/gpu_sweep.py" --data "$data" --minutes 1 --output "$results/sweep.json"
  case $? in 0) ;; 75) status=75 ;; *) [ "$status" = 75 ] || status=1 ;; esac
}

finished() { # every row that is wanted stands in the file
  "$python" - "$results/$1.json" <<'PYTHON'
import json, pathlib, sys
path = pathlib.Path(sys.argv[1])
rows = json.loads(path.read_text())["rows"].values() if path.exists() else []
sys.exit(0 if len(rows) == 3 and not any("error" in row for row in rows) else 1)
PYTHON
}

mkdir -p "$results"
measure gpu "$here/gpu.py"
measure workers "$here/workers.py"
sweep
if [ -n "$airbench" ]; then
  measure airbench "$here/airbench.py" --data "$data" --checkout "$airbench"
fi
measure equivalence "$here/equivalence.py" --data "$data" --mode graph
"$python" "$here/wanted.py" "$results" --write
exit "$status"
