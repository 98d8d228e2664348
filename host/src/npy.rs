//! `NumPy`'s `.npy` format, version 1.0: two-dimensional, little-endian f32.

use std::io::{self, Write};

/// Writes the header for `rows × columns` numbers, which must follow row by row.
///
/// # Errors
///
/// Those of the writer.
pub fn write_header(out: &mut impl Write, rows: usize, columns: usize) -> io::Result<()> {
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    // Magic, version and length take 10 bytes; the data must start at a multiple of 64.
    let padded = (10 + header.len() + 1).next_multiple_of(64) - 10;
    header.extend(std::iter::repeat_n(' ', padded - 1 - header.len()));
    header.push('\n');
    let length = u16::try_from(header.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(header.as_bytes())
}

/// Writes numbers after the header.
///
/// # Errors
///
/// Those of the writer.
pub fn write_numbers(out: &mut impl Write, numbers: &[f32]) -> io::Result<()> {
    numbers.iter().try_for_each(|number| out.write_all(&number.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_starts_at_a_multiple_of_64_and_the_header_ends_in_a_newline() {
        for (rows, columns) in [(0, 1), (3, 128), (123_456_789, 2048)] {
            let mut bytes = Vec::new();
            write_header(&mut bytes, rows, columns).unwrap();
            assert_eq!(bytes.len() % 64, 0);
            assert_eq!(bytes.last(), Some(&b'\n'));
            let text = String::from_utf8_lossy(&bytes[10..]).into_owned();
            assert!(text.contains(&format!("({rows}, {columns})")));
        }
    }
}
