// What generation looks for in logits.
#include "common.cuh"

constexpr unsigned NONE = 0xffffffff;

// The position of each row's largest number, the first of equal ones; NONE where one is not finite. One
// block for a row.
template <typename T>
__device__ void largest(size_t columns, const T *logits, unsigned *positions) {
	__shared__ float best[THREADS];
	__shared__ unsigned places[THREADS];
	const T *row = logits + size_t(blockIdx.x) * columns;
	const unsigned thread = threadIdx.x;
	best[thread] = -INFINITY;
	places[thread] = NONE;
	for (size_t column = thread; column < columns; column += THREADS) {
		const float x = wide(row[column]);
		if (!isfinite(x)) {
			// More than any number, wherever it is.
			best[thread] = INFINITY;
			places[thread] = NONE;
			break;
		}
		if (x > best[thread]) {
			best[thread] = x;
			places[thread] = unsigned(column);
		}
	}
	for (unsigned half = THREADS / 2; half > 0; half /= 2) {
		__syncthreads();
		if (thread >= half) continue;
		const unsigned other = thread + half;
		const bool is_first = best[other] == best[thread] && places[other] < places[thread];
		if (best[other] > best[thread] || is_first) {
			best[thread] = best[other];
			places[thread] = places[other];
		}
	}
	if (thread == 0) positions[blockIdx.x] = places[0];
}

extern "C" __global__ void __launch_bounds__(THREADS) largest_f32(
	size_t columns, const float *logits, unsigned *positions
) { largest(columns, logits, positions); }

extern "C" __global__ void __launch_bounds__(THREADS) largest_bf16(
	size_t columns, const __nv_bfloat16 *logits, unsigned *positions
) { largest(columns, logits, positions); }
