#!/bin/sh
# Every figure that is wanted of a GPU, into benchmarks/results/*.json and RESULTS.md.
#
#   sh benchmarks/on_gpu.sh DATA [AIRBENCH]
#
# DATA: image folder (train/<class>/, test/<class>/). AIRBENCH: a checkout of
# KellerJordan/cifar10-airbench; without it that comparison is left out. A call takes at most ten
# minutes. Exit status 75: something is left, call it again; 1: what is left has failed, as said
# (MPS that cannot be started is one such); 0: all is there. Three or four calls should do on one
# H200, by estimate. PYTHON names the interpreter, RESULTS another folder than benchmarks/results.
set -u
data=${1:?usage: on_gpu.sh DATA [AIRBENCH]}
airbench=${2:-}
here=$(dirname "$0")
python=${PYTHON:-python}
results=${RESULTS:-$here/results}
begun=$(date +%s)
status=0

measure() { # minutes that one measurement may take, name, script, arguments
  longest=$1; name=$2; shift 2
  # A measurement that begins late must end within ten minutes all the same.
  minutes=$(( (600 - ($(date +%s) - begun)) / 60 - longest ))
  if [ "$minutes" -lt 1 ]; then status=75; return; fi
  "$python" "$@" --minutes "$minutes" --output "$results/$name.json"
  case $? in
    0) ;;
    75) status=75 ;;
    *) [ "$status" = 75 ] || status=1 ;;
  esac
}

mkdir -p "$results"
measure 2 gpu "$here/gpu.py"
measure 1 workers "$here/workers.py"
measure 5 sweep "$here/gpu_sweep.py" --data "$data"
if [ -n "$airbench" ]; then
  measure 2 airbench "$here/airbench.py" --data "$data" --checkout "$airbench"
fi
measure 1 equivalence "$here/equivalence.py" --data "$data" --mode graph
"$python" "$here/wanted.py" "$results" --write
exit "$status"
