//! Between numbers and the bytes that stand for them in a file.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::VectorType;

/// The magnitude from which a number becomes infinite as f16: half a unit above the largest.
const F16_LIMIT: f32 = 65_520.0;

/// Whether a number can be stored.
pub(super) fn storable(vector_type: VectorType, x: f32) -> bool {
    match vector_type {
        VectorType::F16 => x.abs() < F16_LIMIT,
        VectorType::F32 => x.is_finite(),
        // What is read back, 127 scales, must be finite as well.
        VectorType::Int8 => (scale_of(x.abs()) * 127.0).is_finite(),
    }
}

/// Appends the bytes of f32 numbers.
pub(super) fn encode_f32(values: &[f32], bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.resize(start + size_of_val(values), 0);
    for (bytes, value) in bytes[start..].as_chunks_mut().0.iter_mut().zip(values) {
        *bytes = value.to_le_bytes();
    }
}

/// Appends the bytes of numbers rounded to f16.
pub(super) fn encode_f16(values: &[f32], bytes: &mut Vec<u8>) {
    let mut halves = vec![f16::ZERO; values.len()];
    halves.convert_from_f32_slice(values);
    let start = bytes.len();
    bytes.resize(start + size_of_val(halves.as_slice()), 0);
    for (bytes, half) in bytes[start..].as_chunks_mut().0.iter_mut().zip(&halves) {
        *bytes = half.to_le_bytes();
    }
}

/// The scale of a row with this largest magnitude; 0 if it would be too small to be exact.
fn scale_of(largest: f32) -> f32 {
    let scale = largest / 127.0;
    if scale < f32::MIN_POSITIVE { 0.0 } else { scale }
}

/// Appends the bytes of one row as 8-bit integers, rounded half to even; its scale, and the length
/// of the error over the length of the row (0 for a row of zeros).
pub(super) fn encode_int8(row: &[f32], bytes: &mut Vec<u8>) -> (f32, f32) {
    let scale = scale_of(row.iter().fold(0.0, |largest, x| x.abs().max(largest)));
    let (mut length, mut error) = (0.0_f64, 0.0_f64);
    for &x in row {
        let rounded = if scale == 0.0 { 0.0 } else { (x / scale).round_ties_even() };
        #[expect(clippy::cast_possible_truncation, reason = "clamped to what i8 holds")]
        let byte = rounded.clamp(-127.0, 127.0) as i8;
        bytes.push(byte.cast_unsigned());
        let difference = f64::from(x) - f64::from(f32::from(byte) * scale);
        length += f64::from(x) * f64::from(x);
        error += difference * difference;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a ratio between 0 and 1")]
    let error = if length > 0.0 { (error / length).sqrt() as f32 } else { 0.0 };
    (scale, error)
}

/// Decodes whole rows, and keeps what it needs for that.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    halves: Vec<f16>,
}

impl Decoder {
    /// Decodes the bytes of rows, and of their scales if they have any, into as many numbers.
    pub(super) fn decode(
        &mut self,
        vector_type: VectorType,
        bytes: &[u8],
        scales: &[u8],
        out: &mut [f32],
    ) {
        match vector_type {
            VectorType::F32 => {
                for (x, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                    *x = f32::from_le_bytes(*bytes);
                }
            }
            VectorType::F16 => {
                self.halves.clear();
                self.halves.extend(bytes.as_chunks().0.iter().map(|&it| f16::from_le_bytes(it)));
                self.halves.convert_to_f32_slice(out);
            }
            VectorType::Int8 => {
                let scales = scales.as_chunks().0;
                let Some(dimension) = out.len().checked_div(scales.len()) else { return };
                let rows = bytes.chunks_exact(dimension).zip(scales);
                for (out, (row, scale)) in out.chunks_exact_mut(dimension).zip(rows) {
                    let scale = f32::from_le_bytes(*scale);
                    for (x, byte) in out.iter_mut().zip(row) {
                        *x = f32::from(byte.cast_signed()) * scale;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f16_takes_what_rounds_to_a_finite_number() {
        for bits in (0x477f_e000..0x4780_1000_u32).chain([f32::INFINITY.to_bits(), u32::MAX]) {
            let x = f32::from_bits(bits);
            assert_eq!(storable(VectorType::F16, x), f16::from_f32(x).is_finite(), "{x}");
            assert_eq!(storable(VectorType::F16, -x), f16::from_f32(-x).is_finite(), "{x}");
        }
    }

    #[test]
    fn a_row_as_int8_is_off_by_at_most_half_its_scale() {
        let patterns: [Vec<f32>; 6] = [
            (0..300u16).map(|i| (f32::from(i) * 0.37).sin()).collect(),
            vec![3.4e38, -1.0, 2.0e38],
            vec![1.0e-30, -3.0e-31, 0.0],
            vec![127.0, 0.5, 1.5, -0.5, -126.5],
            vec![-5.0; 7],
            vec![0.0, -0.0],
        ];
        for row in patterns {
            let mut bytes = Vec::new();
            let (scale, relative) = encode_int8(&row, &mut bytes);
            let mut decoded = vec![f32::NAN; row.len()];
            let scales = scale.to_le_bytes();
            Decoder::default().decode(VectorType::Int8, &bytes, &scales, &mut decoded);
            for (x, y) in row.iter().zip(&decoded) {
                assert!((x - y).abs() <= 0.500_001 * scale, "{x} {y} {scale}");
            }
            assert!((0.0..0.01).contains(&relative), "{relative}");
        }
    }

    #[test]
    fn halves_round_to_even_in_int8() {
        let mut bytes = Vec::new();
        encode_int8(&[127.0, 0.5, 1.5, -2.5], &mut bytes);
        assert_eq!(bytes, [127, 0, 2, (-2_i8).cast_unsigned()]);
    }

    #[test]
    fn numbers_too_small_for_an_exact_scale_become_zeros_and_too_large_ones_are_refused() {
        let mut bytes = Vec::new();
        assert_eq!(encode_int8(&[1.0e-40, -1.0e-37], &mut bytes), (0.0, 1.0));
        assert_eq!(bytes, [0, 0]);
        assert!(!storable(VectorType::Int8, f32::NAN));
        assert!(!storable(VectorType::Int8, f32::NEG_INFINITY));
    }
}
