// Sums of gradients, and steps of the optimizers, in place: see `training/optimizer` for what they compute, and where their
// numbers come from. Gradients are limited as there, and zero afterwards. `working` is what the network
// computes with, where that is another array than the values, or null.
#include "common.cuh"

// sum += x
template <typename T>
__device__ void accumulate(size_t count, float *sum, const T *x) {
	combine(count, sum, x, sum, [](float sum, float more) { return sum + more; });
}

extern "C" __global__ void __launch_bounds__(THREADS) accumulate_f32(size_t count, float *sum, const float *x) {
	accumulate(count, sum, x);
}

extern "C" __global__ void __launch_bounds__(THREADS) accumulate_bf16(
	size_t count, float *sum, const __nv_bfloat16 *x
) {
	accumulate(count, sum, x);
}

// The sum of the squares that each block of the grid goes over.
template <unsigned N>
__device__ float squares_of_thread(size_t count, const float *x) {
	float sum = 0;
	each<N>(count, [&](size_t at) {
		float values[N];
		load(x + at, values);
		for (unsigned i = 0; i < N; i++) sum += values[i] * values[i];
	});
	return sum;
}

extern "C" __global__ void __launch_bounds__(THREADS) squares(size_t count, const float *x, float *sums) {
	const bool fits = in_packs<float>(count, x);
	const float sum = fits ? squares_of_thread<PACK<float>>(count, x) : squares_of_thread<1>(count, x);
	const float of_block = block_sum(sum);
	if (threadIdx.x == 0) sums[blockIdx.x] = of_block;
}

// As in main memory: what is no number stays none.
__device__ inline float limited(float gradient, float scale, float clip) {
	gradient *= scale;
	return gradient < -clip ? -clip : gradient > clip ? clip : gradient;
}

__device__ inline void set(float *values, __nv_bfloat16 *working, size_t at, float value) {
	values[at] = value;
	if (working) working[at] = __float2bfloat16_rn(value);
}

// The numbers of one step of Adam, in the order of the kernel's last arguments.
struct Adam {
	float scale, clip, decay, new_mean, old_square, new_square, step, root_bias, epsilon;
};

template <unsigned N>
__device__ void adam_step(
	size_t count, float *values, float *gradient, float *mean, float *square, __nv_bfloat16 *working,
	const Adam &by
) {
	each<N>(count, [&](size_t at) {
		float v[N], g[N], m[N], s[N];
		load(values + at, v);
		load(gradient + at, g);
		load(mean + at, m);
		load(square + at, s);
		for (unsigned i = 0; i < N; i++) {
			g[i] = limited(g[i], by.scale, by.clip);
			m[i] += (g[i] - m[i]) * by.new_mean;
			s[i] = s[i] * by.old_square + g[i] * g[i] * by.new_square;
			v[i] = v[i] * by.decay - by.step * m[i] / (sqrtf(s[i]) / by.root_bias + by.epsilon);
			g[i] = 0;
		}
		store(values + at, v);
		store(gradient + at, g);
		store(mean + at, m);
		store(square + at, s);
		if (working) store(working + at, v);
	});
}

extern "C" __global__ void __launch_bounds__(THREADS) adam(
	size_t count, float *values, float *gradient, float *mean, float *square, __nv_bfloat16 *working,
	float scale, float clip, float decay, float new_mean, float old_square, float new_square, float step,
	float root_bias, float epsilon
) {
	const Adam by = {scale, clip, decay, new_mean, old_square, new_square, step, root_bias, epsilon};
	if (in_packs<float>(count, values, gradient, mean, square, working))
		adam_step<PACK<float>>(count, values, gradient, mean, square, working, by);
	else adam_step<1>(count, values, gradient, mean, square, working, by);
}

// Adafactor. The numbers that its kernels hand on: the mean of `of_rows`, the length of the values that
// the rate is a share of, and of the step the factors of the change and of the values.
enum { MEAN, SIZE, STEP, DECAY };

// Added to squares.
constexpr float SQUARE_EPSILON = 1e-30f;

// The new memory of the squares, of these shares of the old one and of the next.
__device__ inline float remembered(float memory, float next, float old, float fresh) {
	return memory * old + next * fresh;
}

// How much slower than the rate, for a change of this sum of squares: its root mean square is at most 1.
__device__ inline float shortened(float rate, float squares, float count) {
	return rate / fmaxf(sqrtf(squares / count), 1.0f);
}

// What the rate is a share of; `min_size` below 0: of nothing.
__device__ inline float size_of(float squares, float count, float min_size) {
	return min_size < 0 ? 1.0f : fmaxf(sqrtf(squares / count), min_size);
}

// The memory of a row's squares, and the squares of its values; one block for a row.
extern "C" __global__ void __launch_bounds__(THREADS) adafactor_rows(
	size_t columns, const float *values, const float *gradient, float *of_rows, float *squares_of_values,
	float scale, float clip, float old, float fresh
) {
	const size_t row = size_t(blockIdx.x) * columns;
	float squares = 0, of_values = 0;
	for (size_t at = row + threadIdx.x; at < row + columns; at += THREADS) {
		const float g = limited(gradient[at], scale, clip);
		squares += g * g + SQUARE_EPSILON;
		of_values += values[at] * values[at];
	}
	squares = block_sum(squares);
	of_values = block_sum(of_values);
	if (threadIdx.x > 0) return;
	of_rows[blockIdx.x] = remembered(of_rows[blockIdx.x], squares / columns, old, fresh);
	squares_of_values[blockIdx.x] = of_values;
}

// The squares of the columns, summed over the rows of a block: see `column_sums`.
extern "C" __global__ void __launch_bounds__(THREADS) adafactor_columns(
	size_t rows, size_t columns, size_t rows_of_block, const float *gradient, float *sums, float scale,
	float clip
) {
	column_sums(rows, columns, rows_of_block, sums, [&](size_t row, size_t column) {
		const float g = limited(gradient[row * columns + column], scale, clip);
		return g * g + SQUARE_EPSILON;
	});
}

// The memory of the columns' squares, from the sums of all blocks.
extern "C" __global__ void __launch_bounds__(THREADS) adafactor_remember_columns(
	size_t rows, size_t columns, size_t blocks, const float *sums, float *of_columns, float old, float fresh
) {
	each<1>(columns, [&](size_t column) {
		float squares = 0;
		for (size_t block = 0; block < blocks; block++) squares += sums[block * columns + column];
		of_columns[column] = remembered(of_columns[column], squares / rows, old, fresh);
	});
}

// Of one block: the mean of the rows' memory, and the length of the values.
extern "C" __global__ void __launch_bounds__(THREADS) adafactor_means(
	size_t rows, size_t columns, const float *of_rows, const float *squares_of_values, float *numbers,
	float min_size
) {
	float mean = 0, squares = 0;
	for (size_t row = threadIdx.x; row < rows; row += THREADS) {
		mean += of_rows[row];
		squares += squares_of_values[row];
	}
	mean = block_sum(mean) / rows;
	squares = block_sum(squares);
	if (threadIdx.x > 0) return;
	numbers[MEAN] = mean;
	numbers[SIZE] = size_of(squares, float(rows) * columns, min_size);
}

// The gradient over the root of its squares, as rows and columns tell them.
//
// Roots before quotients: the mean over a row's square may be too large for f32.
__device__ inline float change(float gradient, float mean, float of_row, float of_column) {
	return gradient * (sqrtf(mean) / sqrtf(of_row)) / sqrtf(of_column);
}

// The squares of a row's change; one block for a row.
extern "C" __global__ void __launch_bounds__(THREADS) adafactor_changes(
	size_t columns, const float *gradient, const float *of_rows, const float *of_columns,
	const float *numbers, float *squares_of_changes, float scale, float clip
) {
	const size_t row = size_t(blockIdx.x) * columns;
	float squares = 0;
	for (size_t column = threadIdx.x; column < columns; column += THREADS) {
		const float g = limited(gradient[row + column], scale, clip);
		const float c = change(g, numbers[MEAN], of_rows[blockIdx.x], of_columns[column]);
		squares += c * c;
	}
	squares = block_sum(squares);
	if (threadIdx.x == 0) squares_of_changes[blockIdx.x] = squares;
}

// Of one block: the step's factors.
extern "C" __global__ void __launch_bounds__(THREADS) adafactor_factors(
	size_t rows, size_t columns, const float *squares_of_changes, float *numbers, float rate,
	float weight_decay
) {
	float squares = 0;
	for (size_t row = threadIdx.x; row < rows; row += THREADS) squares += squares_of_changes[row];
	squares = block_sum(squares);
	if (threadIdx.x > 0) return;
	rate *= numbers[SIZE];
	numbers[STEP] = shortened(rate, squares, float(rows) * columns);
	numbers[DECAY] = 1.0f - rate * weight_decay;
}

extern "C" __global__ void __launch_bounds__(THREADS) adafactor_step(
	size_t columns, float *values, float *gradient, const float *of_rows, const float *of_columns,
	const float *numbers, __nv_bfloat16 *working, float scale, float clip
) {
	const size_t row = size_t(blockIdx.x) * columns;
	for (size_t column = threadIdx.x; column < columns; column += THREADS) {
		const size_t at = row + column;
		const float g = limited(gradient[at], scale, clip);
		gradient[at] = 0;
		const float c = change(g, numbers[MEAN], of_rows[blockIdx.x], of_columns[column]);
		set(values, working, at, values[at] * numbers[DECAY] - c * numbers[STEP]);
	}
}

// All of it for a vector, by one block: a square is remembered for each of its elements.
extern "C" __global__ void __launch_bounds__(THREADS) adafactor_vector(
	size_t count, float *values, float *gradient, float *square, __nv_bfloat16 *working, float scale,
	float clip, float old, float fresh, float min_size, float rate, float weight_decay
) {
	float squares = 0, squares_of_changes = 0;
	for (size_t at = threadIdx.x; at < count; at += THREADS) {
		const float g = limited(gradient[at], scale, clip);
		square[at] = remembered(square[at], g * g + SQUARE_EPSILON, old, fresh);
		gradient[at] = g / sqrtf(square[at]);
		squares += values[at] * values[at];
		squares_of_changes += gradient[at] * gradient[at];
	}
	squares = block_sum(squares);
	rate *= size_of(squares, count, min_size);
	const float step = shortened(rate, block_sum(squares_of_changes), count);
	for (size_t at = threadIdx.x; at < count; at += THREADS) {
		set(values, working, at, values[at] * (1.0f - rate * weight_decay) - gradient[at] * step);
		gradient[at] = 0;
	}
}
