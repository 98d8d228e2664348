#!/bin/sh
# Calls nvcc, but makes nothing of the kernels for quantised weights and mixtures of experts.
#
# T5 uses neither. Of the kernels that candle brings they are those in objects (the others are PTX): most
# of the time of a build and more than half of the stripped library. The build takes this file by the variable NVCC.
# DEFT_NVCC names the compiler behind it, where it is another than the `nvcc` on the path.
set -eu

object=
output=
previous=
source=
for argument in "$@"; do
	[ "$argument" != -c ] || object=yes
	[ "$previous" != -o ] || output=$argument
	previous=$argument
	source=$argument # the last one
done

case $object:${source##*/} in
yes:mmq_*.cu | yes:mmvq_*.cu | yes:moe_*.cu)
	# shellcheck disable=SC2086 # CC may be several words, as `ccache gcc`
	exec ${CC:-cc} -x c -c /dev/null -o "$output"
	;;
esac
exec "${DEFT_NVCC:-nvcc}" "$@"
