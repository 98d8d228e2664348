// The layer norm, the gated activation, sums of states, and the gradients of the first two.
#include "common.cuh"

// x, grad, out, x_grad: [rows, width]; one block computes one row.

// The part of a row's sum of squares that this thread adds up, over all threads.
template <typename T, unsigned N>
__device__ float row_squares(size_t width, const T *x) {
	float square = 0, values[N];
	for (size_t at = threadIdx.x * N; at < width; at += THREADS * N) {
		load(x + at, values);
		for (unsigned i = 0; i < N; i++) square += values[i] * values[i];
	}
	return block_sum(square);
}

// x / √(mean(x²) + ε) · weight
template <typename T, unsigned N>
__device__ void rms_norm(size_t width, const T *x, const T *weight, T *out, float epsilon) {
	const float scale = 1.0f / sqrtf(row_squares<T, N>(width, x) / width + epsilon);
	float values[N], weights[N];
	for (size_t at = threadIdx.x * N; at < width; at += THREADS * N) {
		load(x + at, values);
		load(weight + at, weights);
		for (unsigned i = 0; i < N; i++) values[i] *= scale * weights[i];
		store(out + at, values);
	}
}

// With n = x / √(mean(x²) + ε) the gradient of x is (g·w − n · mean(g·w·n)) / √(mean(x²) + ε). `scales`
// gets the last factor of each row.
template <typename T, unsigned N>
__device__ void rms_norm_backward(
	size_t width, const T *x, const T *weight, const T *grad, T *x_grad, float *scales, float epsilon
) {
	float values[N], weights[N], grads[N], square = 0, pull = 0;
	for (size_t at = threadIdx.x * N; at < width; at += THREADS * N) {
		load(x + at, values);
		load(weight + at, weights);
		load(grad + at, grads);
		for (unsigned i = 0; i < N; i++) {
			square += values[i] * values[i];
			pull += grads[i] * weights[i] * values[i];
		}
	}
	const float scale = 1.0f / sqrtf(block_sum(square) / width + epsilon);
	pull = block_sum(pull) * scale / width;
	for (size_t at = threadIdx.x * N; at < width; at += THREADS * N) {
		load(x + at, values);
		load(weight + at, weights);
		load(grad + at, grads);
		for (unsigned i = 0; i < N; i++)
			values[i] = (grads[i] * weights[i] - values[i] * scale * pull) * scale;
		store(x_grad + at, values);
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
constexpr float GELU_SCALE = 1.595769f; // 2 √(2/π), as in network/row.rs
constexpr float GELU_CUBE = 0.044715f;

template <typename T>
__device__ inline float gelu_gate(float a) {
	return 1.0f / (1.0f + exponential<T>(-GELU_SCALE * (a + GELU_CUBE * a * a * a)));
}

template <typename T, unsigned N>
__device__ void gated_gelu_backward(
	size_t count, const T *a, const T *b, const T *grad, T *a_grad, T *b_grad
) {
	each<N>(count, [&](size_t at) {
		float x[N], y[N], g[N];
		load(a + at, x);
		load(b + at, y);
		load(grad + at, g);
		for (unsigned i = 0; i < N; i++) {
			const float gate = gelu_gate<T>(x[i]);
			const float inner_slope = GELU_SCALE * (1.0f + 3.0f * GELU_CUBE * x[i] * x[i]);
			y[i] *= g[i] * (gate + x[i] * gate * (1.0f - gate) * inner_slope);
			g[i] *= x[i] * gate;
		}
		store(a_grad + at, y);
		store(b_grad + at, g);
	});
}

#define KERNELS(T, NAME)                                                                             \
	extern "C" __global__ void __launch_bounds__(THREADS) rms_norm_##NAME(                           \
		size_t width, const T *x, const T *weight, T *out, float epsilon                             \
	) {                                                                                              \
		const bool fits = in_packs<T>(width, x, weight, out);                                        \
		const size_t row = size_t(blockIdx.x) * width;                                               \
		if (fits) rms_norm<T, PACK<T>>(width, x + row, weight, out + row, epsilon);                  \
		else rms_norm<T, 1>(width, x + row, weight, out + row, epsilon);                             \
	}                                                                                                \
	extern "C" __global__ void __launch_bounds__(THREADS) rms_norm_backward_##NAME(                  \
		size_t width, const T *x, const T *weight, const T *grad, T *x_grad, float *scales,          \
		float epsilon                                                                                \
	) {                                                                                              \
		const bool fits = in_packs<T>(width, x, weight, grad, x_grad);                               \
		x += blockIdx.x * width, grad += blockIdx.x * width, x_grad += blockIdx.x * width;           \
		if (fits) rms_norm_backward<T, PACK<T>>(width, x, weight, grad, x_grad, scales, epsilon);    \
		else rms_norm_backward<T, 1>(width, x, weight, grad, x_grad, scales, epsilon);               \
	}                                                                                                \
	extern "C" __global__ void __launch_bounds__(THREADS) rms_norm_weight_backward_##NAME(           \
		size_t rows, size_t width, size_t rows_of_block, const T *x, const T *grad,                  \
		const float *scales, float *sums                                                             \
	) { rms_norm_weight_backward(rows, width, rows_of_block, x, grad, scales, sums); }               \
	extern "C" __global__ void __launch_bounds__(THREADS) gated_gelu_##NAME(                         \
		size_t count, const T *a, const T *b, T *out                                                 \
	) {                                                                                              \
		combine(count, a, b, out, [](float x, float y) { return x * (gelu_gate<T>(x) * y); });       \
	}                                                                                                \
	extern "C" __global__ void __launch_bounds__(THREADS) gated_gelu_backward_##NAME(                \
		size_t count, const T *a, const T *b, const T *grad, T *a_grad, T *b_grad                    \
	) {                                                                                              \
		if (in_packs<T>(count, a, b, grad, a_grad, b_grad))                                          \
			gated_gelu_backward<T, PACK<T>>(count, a, b, grad, a_grad, b_grad);                      \
		else gated_gelu_backward<T, 1>(count, a, b, grad, a_grad, b_grad);                           \
	}                                                                                                \
	extern "C" __global__ void __launch_bounds__(THREADS) add_##NAME(                                \
		size_t count, const T *a, const T *b, T *out                                                 \
	) {                                                                                              \
		combine(count, a, b, out, [](float x, float y) { return x + y; });                           \
	}

KERNELS(float, f32)
KERNELS(__nv_bfloat16, bf16)
