#!/bin/sh
# Runs a command with what a build with the feature `cuda` wants in its environment.
#
#   plugins/t5/cuda/with-toolkit.sh cargo build --release -p deft-t5 --features cuda
#
# The compiler is the one that NVCC names, that on the path or in a toolkit's usual place, or one that is
# downloaded into target/cuda-toolkit. Kernels for compute capability 8.0 run on every later GPU, too. The
# build goes into target/cuda: from candle on it has nothing in common with that for the CPU.
set -eu

[ $# -gt 0 ] || { echo "usage: $0 COMMAND …" >&2; exit 2; }
unset CDPATH # with it `cd` prints
here=$(cd -- "$(dirname -- "$0")" && pwd)
target=$(cd -- "$here/../../.." && pwd)/target

case ${NVCC:-} in
'' | nvcc | */nvcc.sh) ;;
*)
	DEFT_NVCC=$(command -v "$NVCC") || { echo "$NVCC: no such command (NVCC)" >&2; exit 2; }
	# Build scripts run elsewhere.
	export DEFT_NVCC="$(cd -- "$(dirname -- "$DEFT_NVCC")" && pwd)/$(basename -- "$DEFT_NVCC")"
	;;
esac
# cudarc looks for a compiler on the path alone.
[ -z "${DEFT_NVCC:-}" ] || PATH=$(dirname -- "$DEFT_NVCC"):$PATH
export PATH="$PATH${CUDA_HOME:+:$CUDA_HOME/bin}:/usr/local/cuda/bin"
if [ -z "${DEFT_NVCC:-}" ] && ! command -v nvcc >/dev/null; then
	exports=$("$here/toolkit.sh" "$target/cuda-toolkit")
	eval "$exports"
fi
echo "kernels are made by ${DEFT_NVCC:-$(command -v nvcc)}" >&2

export NVCC="$here/nvcc.sh" CUDA_COMPUTE_CAP="${CUDA_COMPUTE_CAP:-80}" CARGO_TARGET_DIR="$target/cuda"
exec "$@"
