// Numbers of 16 and 32 bits, alone and in packs, and sums over threads in the same order every time.
#pragma once

#include <cuda_bf16.h>

// Threads of a block. The launches in Rust take the same number.
constexpr unsigned THREADS = 256;
constexpr unsigned WARP = 32;
constexpr unsigned WARPS = THREADS / WARP;

__device__ inline float wide(float x) { return x; }
__device__ inline float wide(__nv_bfloat16 x) { return __bfloat162float(x); }

// Rounds to the nearest number of the type of the place.
__device__ inline void put(float *place, float x) { *place = x; }
__device__ inline void put(__nv_bfloat16 *place, float x) { *place = __float2bfloat16_rn(x); }

// Numbers that are read and written together.
template <typename T, unsigned N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack {
	T at[N];
};

// How many of them make the 16 bytes that a thread can read at once.
template <typename T>
constexpr unsigned PACK = 16 / sizeof(T);

template <unsigned N, typename T>
__device__ inline void load(const T *from, float (&to)[N]) {
	const auto pack = *reinterpret_cast<const Pack<T, N> *>(from);
	for (unsigned i = 0; i < N; i++) to[i] = wide(pack.at[i]);
}

template <unsigned N, typename T>
__device__ inline void store(T *to, const float (&from)[N]) {
	Pack<T, N> pack;
	for (unsigned i = 0; i < N; i++) put(pack.at + i, from[i]);
	*reinterpret_cast<Pack<T, N> *>(to) = pack;
}

// Whether arrays can be read in packs: they begin at a multiple of 16 bytes (a view of another array may
// not), and so do their rows of `width` numbers.
template <typename T, typename... Arrays>
__device__ inline bool in_packs(size_t width, Arrays... arrays) {
	size_t bits = width * sizeof(T);
	((bits |= reinterpret_cast<size_t>(arrays)), ...);
	return bits % 16 == 0;
}

// Goes over an array with the threads of a grid, N numbers at a time.
template <unsigned N, typename Of>
__device__ inline void each(size_t count, Of of) {
	const size_t stride = size_t(gridDim.x) * blockDim.x * N;
	for (size_t at = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) * N; at < count; at += stride) of(at);
}

// out = of(a, b) for each two numbers; out may be one of them.
template <typename A, typename B, unsigned N, typename Of>
__device__ inline void combine_in_packs(size_t count, const A *a, const B *b, A *out, Of of) {
	each<N>(count, [&](size_t at) {
		float x[N], y[N];
		load(a + at, x);
		load(b + at, y);
		for (unsigned i = 0; i < N; i++) x[i] = of(x[i], y[i]);
		store(out + at, x);
	});
}

template <typename A, typename B, typename Of>
__device__ inline void combine(size_t count, const A *a, const B *b, A *out, Of of) {
	if (in_packs<B>(count, a, b, out)) combine_in_packs<A, B, PACK<B>>(count, a, b, out, of);
	else combine_in_packs<A, B, 1>(count, a, b, out, of);
}

// e to a power. For results of 8 bits the GPU's own approximation is exact enough.
template <typename T>
__device__ inline float exponential(float x) { return expf(x); }
template <>
__device__ inline float exponential<__nv_bfloat16>(float x) { return __expf(x); }

// Over the threads of a warp: each of them gets the sum.
__device__ inline float warp_sum(float x) {
	for (unsigned distance = WARP / 2; distance > 0; distance /= 2)
		x += __shfl_xor_sync(0xffffffff, x, distance);
	return x;
}

__device__ inline float warp_max(float x) {
	for (unsigned distance = WARP / 2; distance > 0; distance /= 2)
		x = fmaxf(x, __shfl_xor_sync(0xffffffff, x, distance));
	return x;
}

// Over the threads of a block, all of which must call it: each of them gets the sum.
__device__ inline float block_sum(float x) {
	__shared__ float of_warps[WARPS];
	x = warp_sum(x);
	if (threadIdx.x % WARP == 0) of_warps[threadIdx.x / WARP] = x;
	__syncthreads();
	float sum = 0;
	for (unsigned warp = 0; warp < WARPS; warp++) sum += of_warps[warp];
	// The next sum may not be written before this one is read.
	__syncthreads();
	return sum;
}

// Over columns: a block takes WARP columns of some rows, its warps the rows in turns. `of` gives a
// number for a row and a column; `sums` has a row for each block in the direction of y.
template <typename Of>
__device__ void column_sums(size_t rows, size_t columns, size_t rows_of_block, float *sums, Of of) {
	__shared__ float of_warps[WARPS][WARP];
	const unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
	const size_t column = size_t(blockIdx.x) * WARP + lane;
	const size_t begin = size_t(blockIdx.y) * rows_of_block;
	const size_t end = begin + rows_of_block < rows ? begin + rows_of_block : rows;
	float sum = 0;
	if (column < columns)
		for (size_t row = begin + warp; row < end; row += WARPS) sum += of(row, column);
	of_warps[warp][lane] = sum;
	__syncthreads();
	if (warp > 0 || column >= columns) return;
	for (unsigned other = 1; other < WARPS; other++) sum += of_warps[other][lane];
	sums[size_t(blockIdx.y) * columns + column] = sum;
}
