//! Loops compiled for the widest vectors of the processor that runs them.
//!
//! A library is built for the oldest processor of its kind. What the one it runs on has beside that is
//! asked at run time, and pulp has functions compiled for each answer (`target_feature`): but a loop
//! must be *inlined* into them, or it is compiled for the oldest processor after all, and nothing says
//! so. Of a closure only the body can be marked `inline(always)`. What pulp calls is its
//! `FnOnce::call_once`, which the compiler writes and inlines or not as it likes: around most loops it
//! does not. So a kernel is a struct with a method that is always inlined, and [`vectorized!`] writes
//! it.
//!
//! [`vectorized!`]: crate::vectorized

/// Runs a block with the widest vectors that this processor has.
///
/// It is written like a closure, but the variables that it uses are named, with their types, and move
/// into it; it uses no others. Types may leave lifetimes out, but not name a generic parameter. The
/// loops of the block are ordinary ones, which the compiler vectorises: once for each kind of vectors.
///
/// All of a loop must be inlined to be compiled with the rest. So it is written as a `for`, since
/// methods that loop themselves (`fold`, `for_each`, `collect`, `extend`) may stay calls of code for
/// the oldest processor; and what it calls is a function marked `#[inline(always)]`, called by its
/// name, since one passed on (`map(f)`) may stay such a call, too.
///
/// Results are the same bits whatever the vectors: no operation is reordered or fused.
///
/// ```
/// use deft_neural::vectorized;
///
/// fn scale(x: &mut [f32], factor: f32) {
///     vectorized!(|x: &mut [f32], factor: f32| {
///         for x in x.iter_mut() {
///             *x *= factor;
///         }
///     });
/// }
///
/// fn total(x: &[f32; 16]) -> f32 {
///     vectorized!(|x: &[f32; 16]| -> f32 { deft_neural::row::total(*x) })
/// }
///
/// let mut x = [0.5; 16];
/// scale(&mut x, 3.0);
/// assert_eq!(total(&x), 24.0);
/// ```
#[macro_export]
macro_rules! vectorized {
    (|$($name:ident: $type:ty),+ $(,)?| $body:block) => {
        $crate::vectorized!(|$($name: $type),+| -> () $body)
    };
    (|$($name:ident: $type:ty),+ $(,)?| -> $output:ty $body:block) => {{
        struct Kernel<T>(T);

        impl $crate::pulp::WithSimd for Kernel<($($type,)+)> {
            type Output = $output;

            #[inline(always)]
            fn with_simd<S: $crate::pulp::Simd>(self, _simd: S) -> Self::Output {
                let ($($name,)+) = self.0;
                $body
            }
        }

        $crate::pulp::Arch::new().dispatch(Kernel(($($name,)+)))
    }};
}

#[cfg(test)]
mod tests {
    use crate::row;

    fn wide_dot(a: &[f32], b: &[f32]) -> f32 {
        vectorized!(|a: &[f32], b: &[f32]| -> f32 { row::dot(a, b) })
    }

    fn wide_exp(x: &mut [f32]) {
        vectorized!(|x: &mut [f32]| {
            for x in x.iter_mut() {
                *x = row::exp(*x);
            }
        });
    }

    #[test]
    fn a_kernel_gives_the_same_bits_as_its_loop_without_vectors() {
        // Rounded in every step, so that a fused or reordered one shows.
        let numbers = |salt: f32| (0..1000).map(move |i| 30.0 * (i as f32 * 1.618 + salt).sin());
        let (a, b): (Vec<_>, Vec<_>) = (numbers(0.1).collect(), numbers(2.3).collect());
        for length in [0, 1, 15, 16, 17, 333, 1000] {
            let (a, b) = (&a[..length], &b[..length]);
            assert_eq!(wide_dot(a, b).to_bits(), row::dot(a, b).to_bits(), "{length}");
            let mut powers = a.to_vec();
            wide_exp(&mut powers);
            let same = |(&power, &x): (&f32, &f32)| power.to_bits() == row::exp(x).to_bits();
            assert!(powers.iter().zip(a).all(same), "{length}");
        }
    }
}
