// Attention's probabilities and their gradients, and heads apart and together.
//
// scores, probs, grad: [inputs, heads, queries, keys], in rows of `keys`; one warp computes one row.
#include "common.cuh"

// The row of this warp.
__device__ inline size_t row_of_warp() {
	return size_t(blockIdx.x) * WARPS + threadIdx.x / WARP;
}

__device__ inline unsigned lane() { return threadIdx.x % WARP; }

// One row: probs = softmax(scores + bias) over the first `length` keys, 0 for the others. `bias` may be
// null. The row is read once and kept: its keys are at most MOST packs for each thread of the warp.
template <typename T, unsigned MOST>
__device__ void attend_in_packs(unsigned keys, unsigned length, const T *scores, const T *bias, T *probs) {
	constexpr unsigned N = PACK<T>;
	float x[MOST][N];
	float largest = -INFINITY, sum = 0;
	for (unsigned pack = 0; pack < MOST; pack++) {
		const unsigned first = (pack * WARP + lane()) * N;
		if (first >= keys) break;
		load(scores + first, x[pack]);
		if (bias) {
			float more[N];
			load(bias + first, more);
			for (unsigned i = 0; i < N; i++) x[pack][i] += more[i];
		}
		for (unsigned i = 0; i < N; i++) {
			if (first + i >= length) x[pack][i] = -INFINITY;
			largest = fmaxf(largest, x[pack][i]);
		}
	}
	largest = warp_max(largest);
	for (unsigned pack = 0; pack < MOST; pack++) {
		if ((pack * WARP + lane()) * N >= keys) break;
		for (unsigned i = 0; i < N; i++) {
			x[pack][i] = exponential<T>(x[pack][i] - largest);
			sum += x[pack][i];
		}
	}
	const float share = 1.0f / warp_sum(sum);
	for (unsigned pack = 0; pack < MOST; pack++) {
		const unsigned first = (pack * WARP + lane()) * N;
		if (first >= keys) break;
		for (unsigned i = 0; i < N; i++) x[pack][i] *= share;
		store(probs + first, x[pack]);
	}
}

// The same for any number of keys, N at a time, which are read three times.
template <typename T, unsigned N>
__device__ void attend_again_and_again(
	size_t keys, size_t length, const T *scores, const T *bias, T *probs
) {
	float x[N], more[N], largest = -INFINITY, sum = 0;
	// Those behind the last real key are lower than any.
	auto read = [&](size_t first) {
		load(scores + first, x);
		if (bias) load(bias + first, more);
		for (unsigned i = 0; i < N; i++)
			x[i] = first + i >= length ? -INFINITY : bias ? x[i] + more[i] : x[i];
	};
	for (size_t first = lane() * N; first < length; first += WARP * N) {
		read(first);
		for (unsigned i = 0; i < N; i++) largest = fmaxf(largest, x[i]);
	}
	largest = warp_max(largest);
	for (size_t first = lane() * N; first < length; first += WARP * N) {
		read(first);
		for (unsigned i = 0; i < N; i++) sum += exponential<T>(x[i] - largest);
	}
	const float share = 1.0f / warp_sum(sum);
	for (size_t first = lane() * N; first < keys; first += WARP * N) {
		read(first);
		for (unsigned i = 0; i < N; i++) x[i] = exponential<T>(x[i] - largest) * share;
		store(probs + first, x);
	}
}

// bias: a row for each of an input's, which all inputs share, or null. lengths: the keys of each input
// that are no padding, or null; `rows_of_input` rows are of one.
template <typename T>
__device__ void attend(
	size_t rows, size_t keys, size_t rows_of_input, const T *scores, const T *bias,
	const unsigned *lengths, T *probs
) {
	const size_t row = row_of_warp();
	if (row >= rows) return;
	const size_t length = lengths ? min(size_t(lengths[row / rows_of_input]), keys) : keys;
	const size_t packs = (keys + PACK<T> * WARP - 1) / (PACK<T> * WARP);
	const bool fits = in_packs<T>(keys, scores, bias, probs);
	scores += row * keys;
	bias = bias ? bias + row % rows_of_input * keys : nullptr;
	probs += row * keys;
	if (!fits) attend_again_and_again<T, 1>(keys, length, scores, bias, probs);
	else if (packs > 8) attend_again_and_again<T, PACK<T>>(keys, length, scores, bias, probs);
	else if (packs > 4) attend_in_packs<T, 8>(keys, length, scores, bias, probs);
	else if (packs > 2) attend_in_packs<T, 4>(keys, length, scores, bias, probs);
	else if (packs > 1) attend_in_packs<T, 2>(keys, length, scores, bias, probs);
	else attend_in_packs<T, 1>(keys, length, scores, bias, probs);
}

// One row: the gradient of the scores, probs · (grad − dot); returns dot = Σ probs · grad.
template <typename T, unsigned N>
__device__ float attend_row_backward(size_t keys, const T *probs, const T *grad, T *scores_grad) {
	float p[N], g[N], dot = 0;
	for (size_t key = lane() * N; key < keys; key += WARP * N) {
		load(probs + key, p);
		load(grad + key, g);
		for (unsigned i = 0; i < N; i++) dot += p[i] * g[i];
	}
	dot = warp_sum(dot);
	for (size_t key = lane() * N; key < keys; key += WARP * N) {
		load(probs + key, p);
		load(grad + key, g);
		for (unsigned i = 0; i < N; i++) p[i] *= g[i] - dot;
		store(scores_grad + key, p);
	}
	return dot;
}

template <typename T>
__device__ void attend_backward(
	size_t rows, size_t keys, const T *probs, const T *grad, T *scores_grad, float *dots
) {
	const size_t row = row_of_warp();
	if (row >= rows) return;
	const bool fits = in_packs<T>(keys, probs, grad, scores_grad);
	probs += row * keys;
	grad += row * keys;
	scores_grad += row * keys;
	const float dot = fits ? attend_row_backward<T, PACK<T>>(keys, probs, grad, scores_grad)
	                       : attend_row_backward<T, 1>(keys, probs, grad, scores_grad);
	if (lane() == 0) dots[row] = dot;
}

// The gradient of a bias that all inputs share: that of the scores, summed over the inputs before it
// is rounded. `count` are the numbers of the bias.
template <typename T, unsigned N>
__device__ void attend_bias_backward(
	size_t inputs, size_t count, size_t keys, const T *probs, const T *grad, const float *dots, T *bias_grad
) {
	each<N>(count, [&](size_t at) {
		float sum[N] = {}, p[N], g[N];
		for (size_t input = 0; input < inputs; input++) {
			const size_t place = input * count + at;
			const float dot = dots[place / keys];
			load(probs + place, p);
			load(grad + place, g);
			for (unsigned i = 0; i < N; i++) sum[i] += p[i] * (g[i] - dot);
		}
		store(bias_grad + at, sum);
	});
}

// [outer, a, b, width] → [outer, b, a, width]. The blocks of one x take an a, of all the outer ones.
template <typename T, unsigned N>
__device__ void swap_middle(size_t a, size_t b, size_t width, const T *x, T *out) {
	const size_t outer = blockIdx.x / a, row = blockIdx.x % a;
	const unsigned width_in_packs = width / N, packs = b * width_in_packs;
	const auto *from = reinterpret_cast<const Pack<T, N> *>(x) + size_t(blockIdx.x) * packs;
	auto *to = reinterpret_cast<Pack<T, N> *>(out) + outer * a * packs;
	for (unsigned pack = blockIdx.y * THREADS + threadIdx.x; pack < packs; pack += gridDim.y * THREADS) {
		const unsigned column = pack / width_in_packs, rest = pack % width_in_packs;
		to[(column * a + row) * width_in_packs + rest] = from[pack];
	}
}

#define KERNELS(T, NAME)                                                                             \
	extern "C" __global__ void __launch_bounds__(THREADS) attend_##NAME(                             \
		size_t rows, size_t keys, size_t rows_of_input, const T *scores, const T *bias,              \
		const unsigned *lengths, T *probs                                                            \
	) { attend(rows, keys, rows_of_input, scores, bias, lengths, probs); }                           \
	extern "C" __global__ void __launch_bounds__(THREADS) attend_backward_##NAME(                    \
		size_t rows, size_t keys, const T *probs, const T *grad, T *scores_grad, float *dots         \
	) { attend_backward(rows, keys, probs, grad, scores_grad, dots); }                               \
	extern "C" __global__ void __launch_bounds__(THREADS) attend_bias_backward_##NAME(               \
		size_t inputs, size_t count, size_t keys, const T *probs, const T *grad,                     \
		const float *dots, T *bias_grad                                                              \
	) {                                                                                              \
		if (in_packs<T>(keys, probs, grad, bias_grad))                                               \
			attend_bias_backward<T, PACK<T>>(inputs, count, keys, probs, grad, dots, bias_grad);     \
		else attend_bias_backward<T, 1>(inputs, count, keys, probs, grad, dots, bias_grad);          \
	}                                                                                                \
	extern "C" __global__ void __launch_bounds__(THREADS) swap_middle_##NAME(                        \
		size_t a, size_t b, size_t width, const T *x, T *out                                         \
	) {                                                                                              \
		if (in_packs<T>(width, x, out)) swap_middle<T, PACK<T>>(a, b, width, x, out);                \
		else swap_middle<T, 1>(a, b, width, x, out);                                                 \
	}

KERNELS(float, f32)
KERNELS(__nv_bfloat16, bf16)
