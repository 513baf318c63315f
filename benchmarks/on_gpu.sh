#!/bin/sh
# Every figure that is wanted of a GPU, into benchmarks/results/*.json and RESULTS.md.
#
#   uv pip install -c constraints.txt -e '.[benchmarks]'
#   sh benchmarks/on_gpu.sh DATA [AIRBENCH]
#   SMALL=1 RESULTS=FOLDER sh benchmarks/on_gpu.sh DATA     (tiny sizes, on any machine)
#
# DATA: image folder (train/<class>/, test/<class>/). AIRBENCH: a checkout of
# KellerJordan/cifar10-airbench; without it that comparison is left out. A call takes at most
# MINUTES (10) and keeps each figure as soon as it has it, so that one which is cut off loses the
# last alone. What is wanted most comes first, what has to be compiled last. Exit status 75:
# something is left, call it again; 1: what is left has failed, as said (MPS that cannot be started
# is one such); 2: a package is missing; 0: all is there. Five calls should do on one H200, by
# estimate. PYTHON names the interpreter, RESULTS another folder than benchmarks/results.
# SMALL=1 writes into a new temporary folder where RESULTS names none, and its table is printed, not
# written; figures of a CPU are in its files and "not measured" in the table, which is for a GPU.
set -u
data=${1:?usage: on_gpu.sh DATA [AIRBENCH]}
airbench=${2:-}
here=$(dirname "$0")
python=${PYTHON:-python}
small=${SMALL:+--small}
if [ -n "$small" ]; then results=${RESULTS:-$(mktemp -d)}; else results=${RESULTS:-$here/results}; fi
seconds=$(( 60 * ${MINUTES:-10} ))
begun=$(date +%s)
status=0

measure() { # minutes that one measurement may take, name, script, arguments
  longest=$1; name=$2; shift 2
  # A measurement that begins late must end in time all the same.
  minutes=$(( (seconds - ($(date +%s) - begun)) / 60 - longest ))
  if [ "$minutes" -lt 1 ]; then status=75; return; fi
  "$python" "$@" $small --minutes "$minutes" --output "$results/$name.json"
  case $? in
    0) ;;
    75) status=75 ;;
    *) [ "$status" = 75 ] || status=1 ;;
  esac
}

"$python" "$here/packaged_sweeper.py" || exit 2
mkdir -p "$results"
measure 2 gpu "$here/gpu.py" --modes none graph
measure 5 sweep "$here/gpu_sweep.py" --data "$data"
measure 1 workers "$here/workers.py"
measure 1 equivalence "$here/equivalence.py" --data "$data" --mode graph
if [ -n "$airbench" ]; then
  measure 2 airbench "$here/airbench.py" --data "$data" --checkout "$airbench"
fi
measure 2 gpu "$here/gpu.py"
if [ -n "$small" ]; then
  "$python" "$here/wanted.py" "$results"
else
  "$python" "$here/wanted.py" "$results" --write
fi
if [ "$status" = 75 ]; then echo "something is left: call again with RESULTS=$results"; fi
exit "$status"
