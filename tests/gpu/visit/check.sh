#!/bin/bash
# What a GPU machine can tell in eight minutes: environment, tests/gpu (side by side), speed of the default way and of its
# kernels, then hamba bench model. It needs no package registry there. From the repository's root:
#
#     bash tests/gpu/visit/check.sh 470      # seconds that it may take; $OUT is where results go (at most 8 files)
#
# What that machine lacks comes along in .gpu: wheels in .gpu/whl (`sh tests/gpu/visit/wheels.sh` fetches them), and the
# proofs of parity in .gpu/parity. Without .gpu it takes what is installed.
#
# A trial on a CPU, in minutes: make gpu-check DEVICE=cpu TINY=tiny
set -u
LIMIT=${1:-470} PYTHON=${PYTHON:-python3} DEVICE=${DEVICE:-cuda:0} TINY=${TINY:-} OUT=${OUT:-/tmp/gpu-out}
ROOT=$PWD HERE=$(cd "$(dirname "$0")" && pwd)
WORK=${WORK:-/tmp/gpu-work}
rm -rf "$WORK"; mkdir -p "$OUT" "$WORK"
export PYTHONUNBUFFERED=1 PYTHONPATH=$WORK/site:$ROOT TORCHINDUCTOR_COMPILE_THREADS=8 TMPDIR=$WORK/tmp
mkdir -p "$TMPDIR"
[ -n "$TINY" ] && export OMP_NUM_THREADS=1  # threads that wait for one another on a busy processor take most of a trial
SUMMARY=$OUT/summary.txt
: > "$SUMMARY"
left() { echo $((LIMIT - SECONDS)); }
say() { printf '%4d s  %s\n' $SECONDS "$*" | tee -a "$SUMMARY"; }
# step NAME MOST command...: its log goes to $WORK/NAME.log, the exit status and the last lines to the summary
step() {
  local name=$1 most=$2 rest; shift 2
  rest=$(left); [ "$rest" -lt "$most" ] && most=$rest
  if [ "$most" -lt 8 ]; then say "$name: left out, no time"; return 1; fi
  timeout -k 3 "$most" "$@" > "$WORK/$name.log" 2>&1
  local rc=$?
  say "$name: exit $rc (at most $most s)"
  [ $rc -ne 0 ] && tail -n 25 "$WORK/$name.log" | cut -c1-400 >> "$SUMMARY"
  keep; return $rc
}
# All logs in one file, since only 8 files come back; also after each step, in case we are stopped.
keep() { (cd "$WORK" && tar czf "$OUT/logs.tgz" ./*.log 2>/dev/null); }
trap keep EXIT

EXTRA=$ROOT/.gpu
ls "$EXTRA"/whl/*.whl > /dev/null 2>&1 && step wheels 60 "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$WORK/site" "$EXTRA"/whl/*.whl
step environment 120 "$PYTHON" - <<'P'
import importlib.metadata as m, platform, shutil, sys
import torch, triton
print(sys.version, platform.platform(), "gcc", shutil.which("gcc"), "nvcc", shutil.which("nvcc"))
for name in "torch triton numpy timm pytest pytest-timeout hypothesis scipy safetensors pydantic typer rich roma smplx platformdirs".split():
    try:
        print(name, m.version(name))
    except Exception as error:
        print(name, "MISSING", error)
print("cuda", torch.version.cuda, "cudnn", torch.backends.cudnn.version(), torch.cuda.is_available())
if torch.cuda.is_available():
    print(torch.cuda.get_device_properties(0))
import hamba_core.network, stages.reconstruction.hamba.opening, pipeline.benchmarks.model.contestants, pipeline.commands.cli
P
cat "$WORK/environment.log" >> "$SUMMARY"
command -v nvidia-smi > /dev/null && nvidia-smi > "$WORK/nvidia-smi.log" 2>&1

# Weights of the released size are made while tests run: a processor's work, some 40 s.
( timeout 200 "$PYTHON" "$HERE/make_weights.py" "$WORK/w" $TINY > "$WORK/weights.log" 2>&1 ) & MAKER=$!
# Where tests/hamba_core/conftest.py looks for the proofs of parity: beside the checkout.
[ -d "$EXTRA/parity" ] && [ ! -e "$ROOT/../shared/parity" ] && mkdir -p "$ROOT/../shared" && cp -r "$EXTRA/parity" "$ROOT/../shared/parity"

# Warnings do not fail tests here: another torch than the pinned one warns of other things. The two tests that leave a
# mode behind them or take long have processes of their own, so that they cannot spoil the rest.
suite() {
  local name=$1 most=$2; shift 2
  timeout -k 3 "$most" "$PYTHON" -m pytest -p no:cacheprovider -o filterwarnings=default -m "gpu and not slow" --timeout 100 -q \
    --durations 5 "$@" > "$WORK/test-$name.log" 2>&1
  echo $? > "$WORK/test-$name.rc"
}
MOST=$(( $(left) > 150 ? 150 : $(left) ))
PIDS=()
SUITES="network engine waits parity compile fused"
if [ "$DEVICE" = cpu ]; then  # all of them skip there
  SUITES=all; suite all $MOST tests/gpu --collect-only & PIDS+=($!)
else
suite engine $MOST tests/gpu/test_engine_cuda.py -k 'not waits_for_the_device' & PIDS+=($!)
suite waits $MOST tests/gpu/test_engine_cuda.py -k 'waits_for_the_device' & PIDS+=($!)
suite network $MOST tests/gpu/test_network_cuda.py -k 'not compiles' & PIDS+=($!)
suite compile $MOST tests/gpu/test_network_cuda.py -k 'compiles' & PIDS+=($!)
suite parity $MOST tests/gpu/test_parity_cuda.py & PIDS+=($!)
suite fused $MOST tests/gpu/test_fused_cuda.py & PIDS+=($!)
fi
wait "${PIDS[@]}"
for name in $SUITES; do
  say "tests $name: exit $(cat "$WORK/test-$name.rc" 2>/dev/null || echo stopped): $(tail -n 1 "$WORK/test-$name.log" 2>/dev/null)"
  grep -E '^(FAILED|ERROR)' "$WORK/test-$name.log" 2>/dev/null | cut -c1-300 >> "$SUMMARY"
done
keep
wait $MAKER; say "weights: $(tail -n 1 "$WORK/weights.log" 2>/dev/null)"

# Timing, alone on the card.
SIZES=1,2,4,8,16,32; [ "$DEVICE" = cpu ] && SIZES=1,2
# No section of the probe begins after its deadline, and each has its own limit; the benchmark needs some 90 s after it.
DEADLINE=$(( $(left) - 130 )); [ "$DEADLINE" -gt 140 ] && DEADLINE=140; [ "$DEADLINE" -lt 30 ] && DEADLINE=30
[ "$DEVICE" = cpu ] && DEADLINE=800  # a trial may be on a busy processor
SECONDS_EACH=0.6; [ -n "$TINY" ] && SECONDS_EACH=0.05
step probe $((DEADLINE + 45)) "$PYTHON" -m tests.gpu.visit.probe "$WORK/w/hamba.safetensors" "$WORK/probe" --device "$DEVICE" --sizes $SIZES --seconds $SECONDS_EACH --deadline $DEADLINE
cp "$WORK"/probe/* "$OUT/" 2>/dev/null; cat "$WORK/probe.log" >> "$SUMMARY"
# Against eager and reference; its last line counts, it prints nothing before.
MOST=230; [ "$DEVICE" = cpu ] && MOST=900
[ "$(left)" -gt 70 ] && step bench $MOST sh -c "'$PYTHON' -c 'from pipeline.commands.cli import main; main()' bench model '$WORK/w/release' --device '${DEVICE%%:*}' --batches ${BENCH:-1,2,32} --rounds 1 --json > '$OUT/bench.json'"

"$PYTHON" - "$OUT" <<'P' | tee -a "$SUMMARY"
import json, sys
from pathlib import Path
out = Path(sys.argv[1])
def load(name):
    try:
        return json.loads((out / name).read_text())
    except Exception as error:
        print(name, error)
        return {}
probe, bench = load("probe.json"), load("bench.json")
print("setup", probe.get("prepare", {}).get("setup"))
for size, of in (probe.get("latency") or {}).items():
    print(f"{size:>3} hands: p50 {of['p50_ms']} ms, p99 {of['p99_ms']} ms; {(probe.get('rate') or {}).get(size)} hands/s")
k = probe.get("kernels", {})
print("two hands:", {name: k.get(name) for name in ("of_batch", "busy_us", "median_gap_us", "sum_of_gaps_us")})
print("\n".join(k.get("top", [])))
print("parts", json.dumps(probe.get("parts")))
for name in ("fusions", "live", "floors", "products", "split", "attention", "small_ones", "scan", "compiled", "tuned"):
    print(name, json.dumps(probe.get(name))[:1800])
for name in ("speedup_over_reference", "throughput_over_eager", "copy_gb_per_s", "matrix_tflop_per_s", "scan", "scan_reason", "fused", "fused_reason"):
    print(name, bench.get(name))
for of in bench.get("batches", []):
    print({key: of[key] for key in ("hands", "way", "p50_ms", "p99_ms", "hands_per_s", "floor_ms")})
P
say done
