#!/usr/bin/env bash
# What a GPU is good for, in one table: the `gpu` tests, benchmarks/gpu.py and all papers with backend=cupy.
#
#     bash benchmarks/on_gpu.sh [CORES]
#
# Takes eight minutes at most, needs no network, and leaves this folder as it is: papers are made in a temporary one.
# Each part is ended where its time is over, which the table says. Install before: pip install -e '.[gpu,dev]'.
set -uo pipefail
cd "$(dirname "$0")/.."
cores=${1:-$(python -c 'import os; print(len(os.sched_getaffinity(0)))')}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PIP_NO_INDEX=1
rows=()
status=0

card=$(python - 2>"$work/card.log" <<'PYTHON'
import cupy

device = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())
print(f"{device['name'].decode()}, {device['totalGlobalMem'] / 2**30:.0f} GiB, cupy {cupy.__version__}")
PYTHON
)
if [ -z "$card" ]; then
    echo "No GPU: cupy finds no CUDA device here, so nothing is measured. It says: $(tail -n 1 "$work/card.log")"
    exit 3
fi

# part NAME SECONDS COMMAND...: run it, its output into a log, and note how it went and how long it took
part() {
    local name=$1 limit=$2 code begin=$SECONDS how
    shift 2
    timeout --kill-after=10 "$limit" "$@" >"$work/$name.log" 2>&1
    code=$?
    case $code in
        0) how="done" ;;
        124 | 137) how="ended after its $limit s" status=1 ;;
        *) how="failed ($code)" status=1 ;;
    esac
    rows+=("| $name | $((SECONDS - begin)) | $how | $(grep -v '^[[:space:]]*$' "$work/$name.log" | tail -n 1 | tr '|' '/' | cut -c1-100) |")
}

part tests 150 python -m pytest -q -m gpu -p no:cacheprovider
part benchmark 100 python benchmarks/gpu.py
for each in Snakefile config.yaml workflow plugins profiles; do ln -s "$PWD/$each" "$work/$each"; done
papers() { (cd "$work" && exec python -m snakemake --cores "$cores" --config backend=cupy); }
export -f papers
export work cores
part papers 210 bash -c papers

echo "Card: $card. Cores: $cores."
echo
echo "| part | seconds | how it went | its last line |"
echo "|---|---|---|---|"
printf '%s\n' "${rows[@]}"
echo
cat "$work/benchmark.log"
for name in tests papers; do
    grep -q "^| $name | [0-9]* | done" <(printf '%s\n' "${rows[@]}") || { echo; echo "The end of the log of $name:"; tail -n 40 "$work/$name.log"; }
done
exit $status
