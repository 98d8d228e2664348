//! cuRAND: the functions of `libcurand.so` that candle calls, but for those of the normal distribution,
//! which the plugin never asks a GPU for.
//!
//! The numbers are not those of a GPU, but as there the same seed gives the same ones, and a generator
//! goes on where it was.
//!
//! # Safety
//!
//! As of [`crate::driver`].

#![expect(unsafe_code, reason = "cuRAND's interface is of pointers")]
#![expect(clippy::cast_possible_truncation, reason = "numbers are made in `f64`, and rounded")]

use std::ffi::{c_int, c_ulonglong};

use crate::driver::{self, Handle, Object, State, with};

/// `curandStatus_t`: 0, or why a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Status(u32);

impl Status {
    pub(crate) const SUCCESS: Self = Self(0);
    pub(crate) const NOT_INITIALIZED: Self = Self(101);
    pub(crate) const TYPE_ERROR: Self = Self(103);
    pub(crate) const OUT_OF_RANGE: Self = Self(104);
    pub(crate) const LAUNCH_FAILURE: Self = Self(201);
    pub(crate) const PREEXISTING_FAILURE: Self = Self(202);
    pub(crate) const INITIALIZATION_FAILED: Self = Self(203);
    pub(crate) const INTERNAL_ERROR: Self = Self(999);
}

/// What a function gives, or the status that it answers instead.
type Answer<T = ()> = Result<T, Status>;

/// The state of a generator, that of `SplitMix64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generator(u64);

impl Generator {
    /// The next 64 bits.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number above 0, up to 1, of so many bits.
    fn uniform(&mut self, bits: u32) -> f64 {
        ((self.next() >> (64 - bits)) + 1) as f64 / (1_u64 << bits) as f64
    }
}

/// Makes a generator on the thread's GPU; the kinds of pseudo-random ones are all the same here.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn curandCreateGenerator(
    generator: *mut Handle,
    kind: c_int,
) -> Status {
    call(|state| {
        if !(100..200).contains(&kind) {
            return Err(Status::TYPE_ERROR);
        }
        let gpu = state.current().map_err(|_| Status::INITIALIZATION_FAILED)?;
        let made = state.make(gpu, Object::Generator(Generator(0)));
        // SAFETY: the caller's.
        unsafe { driver::put(generator, made) }.map_err(|_| Status::OUT_OF_RANGE)
    })
}

/// Ends a generator, even on a GPU that has failed.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn curandDestroyGenerator(generator: Handle) -> Status {
    call(|state| {
        find(state, generator)?;
        state.objects.remove(&generator);
        Ok(())
    })
}

/// Lets a generator begin anew.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn curandSetPseudoRandomGeneratorSeed(
    generator: Handle,
    seed: c_ulonglong,
) -> Status {
    call(|state| {
        find(state, generator)?.1.0 = seed;
        Ok(())
    })
}

/// Lets numbers be made on a stream: all are, since everything is done when a call returns.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn curandSetStream(generator: Handle, stream: Handle) -> Status {
    call(|state| {
        find(state, generator)?;
        state.stream(stream).map(|_| ()).map_err(|_| Status::INITIALIZATION_FAILED)
    })
}

/// Numbers above 0, up to 1.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn curandGenerateUniform(
    generator: Handle,
    place: u64,
    count: usize,
) -> Status {
    fill(generator, place, count, "curand_uniform_f32", |it| it.uniform(24) as f32)
}

/// As [`curandGenerateUniform`], in `f64`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn curandGenerateUniformDouble(
    generator: Handle,
    place: u64,
    count: usize,
) -> Status {
    fill(generator, place, count, "curand_uniform_f64", |it| it.uniform(53))
}

/// Writes numbers into the memory of a generator's GPU.
fn fill<T: Copy>(
    generator: Handle,
    place: u64,
    count: usize,
    kernel: &str,
    number: impl Fn(&mut Generator) -> T,
) -> Status {
    call(|state| {
        let (gpu, mut generator_state) = find(state, generator).map(|(gpu, it)| (gpu, *it))?;
        let gpu = &mut state.gpus[gpu];
        gpu.error.map_or(Ok(()), |_| Err(Status::PREEXISTING_FAILURE))?;
        gpu.launch(kernel).map_err(|_| Status::LAUNCH_FAILURE)?;
        let bytes = count.checked_mul(size_of::<T>()).ok_or(Status::OUT_OF_RANGE)?;
        if gpu.check(place, bytes).is_err() {
            let text = format!("{kernel}: {bytes} bytes at {place:#x} are not in the GPU's memory");
            gpu.fail(driver::Status::ILLEGAL_ADDRESS, &text);
            return Err(Status::LAUNCH_FAILURE);
        }
        let place = driver::at::<T>(place);
        for at in 0..count {
            // SAFETY: so many numbers are allocated.
            let place = unsafe { place.add(at) };
            // SAFETY: as above.
            unsafe { place.write_unaligned(number(&mut generator_state)) };
        }
        *find(state, generator)?.1 = generator_state;
        Ok(())
    })
}

fn call(call: impl FnOnce(&mut State) -> Answer) -> Status {
    let done = with(Status::INITIALIZATION_FAILED, Status::INTERNAL_ERROR, call);
    done.err().unwrap_or(Status::SUCCESS)
}

/// The GPU's number, and the generator.
fn find(state: &mut State, generator: Handle) -> Answer<(usize, &mut Generator)> {
    let made = state.objects.get_mut(&generator).ok_or(Status::NOT_INITIALIZED)?;
    let Object::Generator(it) = &mut made.object else { return Err(Status::NOT_INITIALIZED) };
    Ok((made.gpu, it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::tests::{get, on_a_gpu, take};

    /// `CURAND_RNG_PSEUDO_DEFAULT`.
    const DEFAULT: c_int = 100;

    fn generator(seed: u64) -> Handle {
        let mut generator = 0;
        // SAFETY: `generator` outlives the call.
        let made = unsafe { curandCreateGenerator(&raw mut generator, DEFAULT) };
        assert_eq!(made, Status::SUCCESS);
        assert_eq!(curandSetPseudoRandomGeneratorSeed(generator, seed), Status::SUCCESS);
        generator
    }

    fn uniform(generator: Handle, count: usize) -> Vec<f32> {
        let place = take(count * 4);
        assert_eq!(curandGenerateUniform(generator, place, count), Status::SUCCESS);
        get(place, count)
    }

    #[test]
    fn a_seed_gives_the_same_numbers_and_a_generator_goes_on() {
        on_a_gpu();
        let (one, two, other) = (generator(7), generator(7), generator(8));
        let numbers = uniform(one, 6);
        assert_eq!([uniform(two, 2), uniform(two, 4)].concat(), numbers);
        assert_ne!(uniform(other, 6), numbers);
        assert_eq!(curandSetPseudoRandomGeneratorSeed(one, 7), Status::SUCCESS);
        assert_eq!(uniform(one, 6), numbers);
    }

    #[test]
    fn uniform_numbers_are_above_zero_and_up_to_one() {
        on_a_gpu();
        let numbers = uniform(generator(1), 100_000);
        assert!(numbers.iter().all(|number| *number > 0.0 && *number <= 1.0));
        let mean = numbers.iter().copied().map(f64::from).sum::<f64>() / 1e5;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        let mut least = Generator(0);
        assert!((0..1000).map(|_| least.uniform(1)).all(|number| number == 0.5 || number == 1.0));
    }

    #[test]
    fn numbers_outside_memory_fail_and_stay_with_the_gpu() {
        on_a_gpu();
        let (generator, place) = (generator(1), take(8));
        assert_eq!(curandGenerateUniformDouble(generator, place, 2), Status::LAUNCH_FAILURE);
        assert_eq!(curandGenerateUniform(generator, place, 2), Status::PREEXISTING_FAILURE);
        assert_eq!(curandDestroyGenerator(generator), Status::SUCCESS);
        assert_eq!(curandDestroyGenerator(generator), Status::NOT_INITIALIZED);
    }

    #[test]
    fn a_generator_wants_a_kind_that_is_random_and_a_stream_that_is_there() {
        on_a_gpu();
        let mut quasi = 0;
        // SAFETY: `quasi` outlives the call.
        let made = unsafe { curandCreateGenerator(&raw mut quasi, 200) };
        assert_eq!(made, Status::TYPE_ERROR);
        assert_eq!(curandSetStream(generator(1), 12345), Status::INITIALIZATION_FAILED);
        assert_eq!(curandSetStream(generator(1), 2), Status::SUCCESS);
    }
}
