#!/bin/sh
# Looks whether a plugin built with the feature `cuda` can be opened on a machine without CUDA, and
# whether it looks like one built without the feature.
#
#   plugins/t5/cuda/check.sh target/cuda/release/libdeft_t5.so
#
# It needs readelf and nm, which come with the C compiler's binutils.
set -eu

[ $# = 1 ] || { echo "usage: $0 LIBRARY" >&2; exit 2; }
library=$1
[ -r "$library" ] || { echo "$library: no such file" >&2; exit 2; }
# In a pipe a command that is not there would only look like one that finds nothing.
for tool in readelf nm; do
	command -v "$tool" >/dev/null || { echo "missing: $tool; on Debian it comes with binutils" >&2; exit 2; }
done

# What every plugin exports: its descriptor, and abi_stable's root module.
exports='DEFT_PLUGIN
_1as_0lib_1header_0root_bmodule_bloader'

failed=0
refuse() {
	echo "$library: $1:" >&2
	echo "$2" | sed 's/^/  /' >&2
	echo "  $3" >&2
	failed=1
}

needed=$(readelf --dynamic --wide "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
found=$(echo "$needed" | grep -E '^lib(cu|nv)' || true)
[ -z "$found" ] || refuse 'needs libraries that only a machine with CUDA has' "$found" \
	'the linker must not see them: build.rs puts its archives before all other folders'

# Versions are cut (`malloc@GLIBC_2.2.5`).
undefined=$(nm --dynamic --undefined-only "$library" | sed 's/.* //; s/@.*//')
found=$(echo "$undefined" | grep -E '^_*(cu[A-Z]|cuda[A-Z]|cu(blas|rand|dnn|solver|sparse)|nv(rtc|JitLink)|launch_|moe_)' || true)
[ -z "$found" ] || refuse 'uses functions that no library has' "$found" \
	'add those of CUDA to src/cuda/functions.rs; launch_* and moe_* are kernels that cuda/nvcc.sh leaves out'

defined=$(nm --dynamic --defined-only "$library" | sed 's/.* //; s/@.*//' | LC_ALL=C sort)
[ "$defined" = "$exports" ] || refuse 'exports other symbols than a plugin does' "$defined" \
	"expected: $(echo "$exports" | tr '\n' ' ')"

[ $failed = 0 ] || exit 1
echo "$library: needs $(echo "$needed" | tr '\n' ' ')and no CUDA; $(stat -c %s "$library") bytes"
