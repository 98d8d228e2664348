#!/bin/sh
# Measures the plugin t5 and PyTorch on one GPU, in one call, and prints a report:
#
#     plugins/t5/benches/gpu/all.sh BENCHMARK TOKENIZER PROMPTS > report.txt
#
# BENCHMARK is the program that `cargo bench -p deft-t5 --features cuda --bench gpu --no-run` builds, TOKENIZER a tokenizer.json of T5's
# vocabulary, PROMPTS a file of JSON objects with a text `input`. Nothing is downloaded. From the environment:
#
#   PYTHON     python3            with numpy; with torch, transformers and peft to measure PyTorch, too
#   DEVICE     cuda:0             `cpu` for trying
#   PARTS      encode train parity
#   SHAPES     t5-base t5-xl-lm-adapt      of models.py, which says which there are
#   PARITY     t5-base            shapes of the comparison with the CPU, which computes in f32 and so decides how long it takes
#   MODELS     a temporary folder where the models are made, or were made before
#   PEAK       790e12             FLOP/s of dense bf16 that the GPU can do
#   ROWS       20000, of XL 4000  texts to encode; enough for some seconds
#   STEPS      20                 steps of training
#
# A step that fails is told, and the next one is done; then the exit code is 1.
set -eu

[ $# -eq 3 ] || { echo "usage: all.sh BENCHMARK TOKENIZER PROMPTS" >&2; exit 2; }
benchmark=$1 tokenizer=$2 prompts=$3
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3} device=${DEVICE:-cuda:0} peak=${PEAK:-790e12} steps=${STEPS:-20}
parts=${PARTS:-encode train parity} shapes=${SHAPES:-t5-base t5-xl-lm-adapt} parity=${PARITY:-t5-base}
if [ -n "${MODELS:-}" ]; then
    models=$MODELS
else
    models=$(mktemp -d)
    trap 'rm -rf "$models"' EXIT
    trap 'exit 1' HUP INT TERM
fi
export PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1
failed=0

# One step of the report: the command, what it prints, and how long it took.
step() {
    printf '\n$ %s\n' "$*"
    began=$(date +%s)
    "$@" 2>&1 || { failed=$((failed + 1)); echo "FAILED"; }
    echo "  ($(($(date +%s) - began)) s)"
}

# Whether a word is one of some.
among() {
    word=$1
    shift
    for one in "$@"; do [ "$one" = "$word" ] && return 0; done
    return 1
}

model() {
    [ -e "$models/$1/model.safetensors" ] && return
    step "$python" "$here/models.py" "$models/$1" --shape "$1" --tokenizer "$tokenizer"
}

encode() {
    case $1 in *-xl*) rows=${ROWS:-4000} ;; *) rows=${ROWS:-20000} ;; esac
    set -- "$models/$1" --device "$device" --precision bf16 --rows "$rows" --peak "$peak"
    step "$benchmark" encode --model "$@" --prompts "$prompts"
    if "$has_torch"; then step "$python" "$here/encode_torch.py" "$@" "$prompts"; fi
}

train() {
    for method in full ia3; do
        for checkpointing in false true; do
            step "$benchmark" train --model "$models/$1" --device "$device" --precision bf16 --method "$method" \
                --steps "$steps" --gradient-checkpointing "$checkpointing"
        done
        if "$has_torch"; then
            step "$python" "$here/train_torch.py" "$models/$1" --device "$device" --precision bf16 --method "$method" \
                --steps "$steps"
        fi
    done
}

date -u
uname -srm
nvidia-smi --query-gpu=index,name,driver_version,memory.total,clocks.max.sm --format=csv || echo "no nvidia-smi"
has_torch=false
if "$python" -c 'import torch, transformers; print("torch", torch.__version__, "transformers", transformers.__version__)'; then
    has_torch=true
fi
for shape in $shapes; do
    # Unquoted lists are words on purpose.
    if among encode $parts || among train $parts; then model "$shape"; fi
    if among encode $parts; then encode "$shape"; fi
    if among train $parts; then train "$shape"; fi
done
if among parity $parts; then
    for shape in $parity; do
        model "$shape"
        step "$benchmark" parity --model "$models/$shape" --prompts "$prompts" --device "$device"
    done
fi
printf '\n%s steps failed\n' "$failed"
[ "$failed" -eq 0 ]
