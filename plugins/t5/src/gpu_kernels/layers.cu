// The layer norm's gradients, and the gated activation with its own.
#include "common.cuh"

// x, grad, x_grad: [rows, width]; one block computes one row.
//
// With n = x / √(mean(x²) + ε) the gradient of x is (g·w − n · mean(g·w·n)) / √(mean(x²) + ε). `scales`
// gets the last factor of each row.
template <typename T>
__device__ void rms_norm_backward(
	size_t width, const T *x, const T *weight, const T *grad, T *x_grad, float *scales, float epsilon
) {
	const size_t row = size_t(blockIdx.x) * width;
	float square = 0, pull = 0;
	for (size_t at = threadIdx.x; at < width; at += THREADS) {
		const float value = wide(x[row + at]);
		square += value * value;
		pull += wide(grad[row + at]) * wide(weight[at]) * value;
	}
	const float scale = 1.0f / sqrtf(block_sum(square) / width + epsilon);
	pull = block_sum(pull) * scale / width;
	for (size_t at = threadIdx.x; at < width; at += THREADS) {
		const float normed = wide(x[row + at]) * scale;
		put(x_grad + row + at, (wide(grad[row + at]) * wide(weight[at]) - normed * pull) * scale);
	}
	if (threadIdx.x == 0) scales[blockIdx.x] = scale;
}

// The gradient of the weight, Σ grad · x · scale over the rows of a block: see `column_sums`.
template <typename T>
__device__ void rms_norm_weight_backward(
	size_t rows, size_t width, size_t rows_of_block, const T *x, const T *grad, const float *scales,
	float *sums
) {
	column_sums(rows, width, rows_of_block, sums, [&](size_t row, size_t column) {
		const size_t at = row * width + column;
		return wide(grad[at]) * wide(x[at]) * scales[row];
	});
}

// GELU by its tanh approximation is a · gate, and the gate a logistic function of this.
constexpr float GELU_SCALE = 1.5957691216057308f; // 2 √(2/π)
constexpr float GELU_CUBE = 0.044715f;

__device__ inline float gelu_gate(float a) {
	return 1.0f / (1.0f + expf(-GELU_SCALE * (a + GELU_CUBE * a * a * a)));
}

template <typename T>
__device__ void gated_gelu(size_t count, const T *a, const T *b, T *out) {
	for (size_t at = first(); at < count; at += stride()) {
		const float x = wide(a[at]);
		put(out + at, x * gelu_gate(x) * wide(b[at]));
	}
}

template <typename T>
__device__ void gated_gelu_backward(
	size_t count, const T *a, const T *b, const T *grad, T *a_grad, T *b_grad
) {
	for (size_t at = first(); at < count; at += stride()) {
		const float x = wide(a[at]), g = wide(grad[at]), gate = gelu_gate(x);
		const float inner_slope = GELU_SCALE * (1.0f + 3.0f * GELU_CUBE * x * x);
		const float slope = gate + x * gate * (1.0f - gate) * inner_slope;
		put(a_grad + at, g * wide(b[at]) * slope);
		put(b_grad + at, g * x * gate);
	}
}

#define KERNELS(T, NAME)                                                                             \
	extern "C" __global__ void __launch_bounds__(THREADS) rms_norm_backward_##NAME(                  \
		size_t width, const T *x, const T *weight, const T *grad, T *x_grad, float *scales,          \
		float epsilon                                                                                \
	) { rms_norm_backward(width, x, weight, grad, x_grad, scales, epsilon); }                        \
	extern "C" __global__ void __launch_bounds__(THREADS) rms_norm_weight_backward_##NAME(           \
		size_t rows, size_t width, size_t rows_of_block, const T *x, const T *grad,                  \
		const float *scales, float *sums                                                             \
	) { rms_norm_weight_backward(rows, width, rows_of_block, x, grad, scales, sums); }               \
	extern "C" __global__ void __launch_bounds__(THREADS) gated_gelu_##NAME(                         \
		size_t count, const T *a, const T *b, T *out                                                 \
	) { gated_gelu(count, a, b, out); }                                                              \
	extern "C" __global__ void __launch_bounds__(THREADS) gated_gelu_backward_##NAME(                \
		size_t count, const T *a, const T *b, const T *grad, T *a_grad, T *b_grad                    \
	) { gated_gelu_backward(count, a, b, grad, a_grad, b_grad); }

KERNELS(float, f32)
KERNELS(__nv_bfloat16, bf16)
