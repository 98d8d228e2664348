// Dropout with the masks of main memory: see `network/dropout.rs`.
#include "common.cuh"

// Numbers that one block of ChaCha's stream is for: two of its 64 bytes for each.
constexpr unsigned OF_BLOCK = 32;

__device__ inline void quarter_round(unsigned &a, unsigned &b, unsigned &c, unsigned &d) {
	a += b, d = __funnelshift_l(d ^ a, d ^ a, 16);
	c += d, b = __funnelshift_l(b ^ c, b ^ c, 12);
	a += b, d = __funnelshift_l(d ^ a, d ^ a, 8);
	c += d, b = __funnelshift_l(b ^ c, b ^ c, 7);
}

// The key and the stream, each word of 64 bits as two of 32.
struct Stream {
	size_t words[5];
};

// A block of the stream by its number: ChaCha (Bernstein, 2008) with 8 rounds.
__device__ inline void chacha8(const Stream &of, size_t number, unsigned (&block)[16]) {
	unsigned start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
	for (unsigned i = 0; i < 4; i++) {
		start[4 + 2 * i] = unsigned(of.words[i]);
		start[5 + 2 * i] = unsigned(of.words[i] >> 32);
	}
	start[12] = unsigned(number), start[13] = unsigned(number >> 32);
	start[14] = unsigned(of.words[4]), start[15] = unsigned(of.words[4] >> 32);
	for (unsigned i = 0; i < 16; i++) block[i] = start[i];
	for (unsigned round = 0; round < 8; round += 2) {
		for (unsigned i = 0; i < 4; i++) quarter_round(block[i], block[4 + i], block[8 + i], block[12 + i]);
		for (unsigned i = 0; i < 4; i++)
			quarter_round(block[i], block[4 + (i + 1) % 4], block[8 + (i + 2) % 4], block[12 + (i + 3) % 4]);
	}
	for (unsigned i = 0; i < 16; i++) block[i] += start[i];
}

// Numbers whose two bytes are below `dropped` become 0, the others are multiplied with `scale`.
template <typename T, unsigned N>
__device__ void drop_out(
	size_t count, const T *x, T *out, const Stream &of, unsigned dropped, float scale
) {
	each<OF_BLOCK>(count, [&](size_t first) {
		unsigned random[16];
		chacha8(of, first / OF_BLOCK, random);
#pragma unroll
		for (unsigned i = 0; i < OF_BLOCK; i += N) {
			if (first + i >= count) break;
			float values[N];
			load(x + first + i, values);
			for (unsigned j = 0; j < N; j++) {
				const unsigned two_bytes = random[(i + j) / 2] >> (i + j) % 2 * 16 & 0xffff;
				values[j] = two_bytes < dropped ? 0.0f : values[j] * scale;
			}
			store(out + first + i, values);
		}
	});
}

#define KERNEL(T, NAME)                                                                              \
	extern "C" __global__ void __launch_bounds__(THREADS) drop_out_##NAME(                           \
		size_t count, const T *x, T *out, size_t key_0, size_t key_1, size_t key_2, size_t key_3,    \
		size_t stream, size_t dropped, float scale                                                   \
	) {                                                                                              \
		const Stream of = {{key_0, key_1, key_2, key_3, stream}};                                    \
		if (in_packs<T>(count, x, out)) drop_out<T, PACK<T>>(count, x, out, of, dropped, scale);     \
		else drop_out<T, 1>(count, x, out, of, dropped, scale);                                      \
	}

KERNEL(float, f32)
KERNEL(__nv_bfloat16, bf16)
