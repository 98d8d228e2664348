// Attention's probabilities and their gradients; one warp computes one row of scores.
//
// scores, probs, grad: [inputs, heads, queries, keys], in rows of `keys`.
#include "common.cuh"

// The row of this warp.
__device__ inline size_t row_of_warp() {
	return size_t(blockIdx.x) * WARPS + threadIdx.x / WARP;
}

// probs = softmax(scores + bias) over the keys that are not padding.
//
// bias: `biases` rows, which all rows of scores take in turns, or null. lengths: the keys of each input
// that are no padding, for `rows_of_input` rows each, or null.
template <typename T>
__device__ void attend(
	size_t rows, size_t keys, size_t rows_of_input, size_t biases,
	const T *scores, const T *bias, const unsigned *lengths, T *probs
) {
	const size_t row = row_of_warp();
	if (row >= rows) return;
	const unsigned lane = threadIdx.x % WARP;
	const size_t length = lengths ? lengths[row / rows_of_input] : keys;
	const T *row_scores = scores + row * keys, *row_bias = bias ? bias + row % biases * keys : nullptr;
	T *row_probs = probs + row * keys;
	auto score = [&](size_t key) {
		return wide(row_scores[key]) + (row_bias ? wide(row_bias[key]) : 0.0f);
	};
	float largest = -INFINITY, sum = 0;
	for (size_t key = lane; key < length; key += WARP) largest = fmaxf(largest, score(key));
	largest = warp_max(largest);
	for (size_t key = lane; key < length; key += WARP) sum += expf(score(key) - largest);
	sum = warp_sum(sum);
	for (size_t key = lane; key < keys; key += WARP)
		put(row_probs + key, key < length ? expf(score(key) - largest) / sum : 0.0f);
}

// The gradient of the scores, probs · (grad − dot), and each row's dot = Σ probs · grad.
template <typename T>
__device__ void attend_backward(
	size_t rows, size_t keys, const T *probs, const T *grad, T *scores_grad, float *dots
) {
	const size_t row = row_of_warp();
	if (row >= rows) return;
	const unsigned lane = threadIdx.x % WARP;
	const T *row_probs = probs + row * keys, *row_grad = grad + row * keys;
	float dot = 0;
	for (size_t key = lane; key < keys; key += WARP) dot += wide(row_probs[key]) * wide(row_grad[key]);
	dot = warp_sum(dot);
	for (size_t key = lane; key < keys; key += WARP)
		put(scores_grad + row * keys + key, wide(row_probs[key]) * (wide(row_grad[key]) - dot));
	if (lane == 0) dots[row] = dot;
}

// The gradient of a bias that all inputs share: that of the scores, summed over the inputs before it
// is rounded. `count` are the numbers of the bias.
template <typename T>
__device__ void attend_bias_backward(
	size_t inputs, size_t count, size_t keys, const T *probs, const T *grad, const float *dots, T *bias_grad
) {
	for (size_t at = first(); at < count; at += stride()) {
		float sum = 0;
		for (size_t input = 0; input < inputs; input++) {
			const size_t place = input * count + at;
			sum += wide(probs[place]) * (wide(grad[place]) - dots[place / keys]);
		}
		put(bias_grad + at, sum);
	}
}

#define KERNELS(T, NAME)                                                                             \
	extern "C" __global__ void __launch_bounds__(THREADS) attend_##NAME(                             \
		size_t rows, size_t keys, size_t rows_of_input, size_t biases, const T *scores,              \
		const T *bias, const unsigned *lengths, T *probs                                             \
	) { attend(rows, keys, rows_of_input, biases, scores, bias, lengths, probs); }                   \
	extern "C" __global__ void __launch_bounds__(THREADS) attend_backward_##NAME(                    \
		size_t rows, size_t keys, const T *probs, const T *grad, T *scores_grad, float *dots         \
	) { attend_backward(rows, keys, probs, grad, scores_grad, dots); }                               \
	extern "C" __global__ void __launch_bounds__(THREADS) attend_bias_backward_##NAME(               \
		size_t inputs, size_t count, size_t keys, const T *probs, const T *grad,                     \
		const float *dots, T *bias_grad                                                              \
	) { attend_bias_backward(inputs, count, keys, probs, grad, dots, bias_grad); }

KERNELS(float, f32)
KERNELS(__nv_bfloat16, bf16)
