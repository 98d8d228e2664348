#!/bin/sh
# Installs a CUDA compiler without root rights, from NVIDIA's wheels on PyPI, and prints what to export.
#
#   eval "$(plugins/t5/cuda/toolkit.sh DIR)"
#
# About 100 MB are downloaded, once; DIR takes 280 MB and can be deleted after the build. It needs python3
# with pip and a C++ compiler. Neither a GPU nor a driver is needed: those are for the machine that runs.
set -eu

# 13.0 and not the newest: a driver refuses kernels of a toolkit that is newer than itself.
wheels='nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88
nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85'

[ $# = 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
home=$folder/nvidia/cu13

if [ ! -e "$folder/complete" ]; then
	echo "a CUDA compiler is downloaded from PyPI into $folder (100 MB, on the disk 280 MB)" >&2
	# shellcheck disable=SC2086 # one word for each wheel
	python3 -m pip install --quiet --no-deps --no-compile --only-binary :all: --upgrade \
		--target "$folder" $wheels >&2
	touch "$folder/complete"
fi
"$home/bin/nvcc" --version >&2

nvcc_front=$(cd "$(dirname "$0")" && pwd)/nvcc.sh
cat <<EOF
export CUDA_HOME='$home'
export PATH='$home/bin':"\$PATH"
export NVCC='$nvcc_front'
export CUDA_COMPUTE_CAP=\${CUDA_COMPUTE_CAP:-80}
EOF
