# Everything is built once, with the profile `release`, into one folder: target/.

.DEFAULT_GOAL := help
.PHONY: help demo test lint build avx512 cuda emulated plugins bench deps
.NOTPARALLEL:

# Plugins outside the workspace: the example, and those that the whole-program tests load.
EXAMPLE := docs/examples/hash-encoder
OUTSIDE := $(EXAMPLE) $(addprefix tests/e2e/fixtures/,panicky not-a-plugin other-interface other-layout aborting stubborn flaky)
# They share this folder, so that deft-core is compiled once for all of them.
OUTSIDE_TARGET := $(CURDIR)/target/examples

help: ## list these targets
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST)

demo: deps build ## make a pool of 6,000 examples and compare four ways to train on it
	python3 manifests/quickstart/make_pool.py
	target/release/deft run manifests/quickstart.yaml

# Building all targets first unifies features with those of the tests: nothing is built twice.
test: deps lint plugins ## everything that CI checks
	cargo build --release --workspace --all-targets --locked
	cargo test --release --workspace --locked
	CARGO_TARGET_DIR=$(OUTSIDE_TARGET) cargo test --release --locked --manifest-path $(EXAMPLE)/Cargo.toml

lint: ## formatting, lints, documentation
	cargo fmt --check
	cargo clippy --release --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps --workspace --locked
	set -e; for project in $(OUTSIDE); do \
		cargo fmt --check --manifest-path $$project/Cargo.toml; \
		CARGO_TARGET_DIR=$(OUTSIDE_TARGET) cargo clippy --release --all-targets --locked \
			--manifest-path $$project/Cargo.toml -- -D warnings; \
	done

build: ## the program and its plugins, into target/release
	cargo build --release --locked

# FAISS is compiled a second time, into a folder of its own: the flags are part of no cargo fingerprint.
avx512: build ## a second build of the plugin faiss, which processors with AVX-512 take
	CARGO_TARGET_DIR=$(CURDIR)/target/avx512 CXXFLAGS_x86_64_unknown_linux_gnu=-march=x86-64-v4 \
		cargo build --release --locked -p deft-faiss
	cp target/avx512/release/libdeft_faiss.so target/release/libdeft_faiss.x86-64-v4.so

cuda: ## a second build of the plugin t5, which uses an NVIDIA GPU where there is one (docs/gpu.md)
	plugins/t5/cuda/with-toolkit.sh cargo build --release --locked -p deft-t5 --features cuda
	plugins/t5/cuda/check.sh target/cuda/release/libdeft_t5.so
	@echo "use it with --plugin-dir target/cuda/release, or put it in the place of target/release/libdeft_t5.so"

# A library that computes on the CPU, under the names of CUDA's.
EMULATOR := $(CURDIR)/target/gpu-emulator

emulated: cuda ## tests of t5 with CUDA, and whole runs, on a GPU that is emulated (docs/gpu.md)
	cargo build --release --workspace --all-targets --locked
	mkdir -p "$(EMULATOR)"
	set -e; for name in libcuda.so.1 libcublas.so.12 libcublas.so.13 libcurand.so.10; do \
		ln -sf ../release/libgpu_emulator.so "$(EMULATOR)/$$name"; \
	done
	DEFT_CUDA_LIB_DIR="$(EMULATOR)" DEFT_T5_DEVICE=cuda:0 plugins/t5/cuda/with-toolkit.sh \
		cargo test --release --locked -p deft-t5 --features cuda --lib -- --skip memorise
	DEFT_CUDA_LIB_DIR="$(EMULATOR)" DEFT_CUDA_PLUGIN_DIR="$(CURDIR)/target/cuda/release" \
		cargo test --release --workspace --locked --test emulated_gpu

plugins: ## the plugins outside the workspace, into target/examples/release
	set -e; for project in $(OUTSIDE); do \
		CARGO_TARGET_DIR=$(OUTSIDE_TARGET) cargo build --release --locked --manifest-path $$project/Cargo.toml; \
	done

bench: deps ## benchmarks
	cargo bench --workspace --locked

# A C compiler links, and compiles zstd; FAISS wants C++ and cmake, OpenMP (which comes with g++), and
# a BLAS with LAPACK. Of Debian's BLAS libraries, OpenBLAS with OpenMP keeps to the threads that FAISS is
# given; any other that links is left as it is. Python makes the demonstration's pool.
deps: ## install what the build needs, or say what is missing
	@missing=; \
	command -v cc >/dev/null || missing="$$missing gcc libc6-dev"; \
	command -v c++ >/dev/null || missing="$$missing g++"; \
	command -v cmake >/dev/null || missing="$$missing cmake"; \
	echo 'int main(void) { return 0; }' | cc -x c - -lblas -llapack -o /dev/null 2>/dev/null \
		|| missing="$$missing libopenblas-openmp-dev"; \
	command -v python3 >/dev/null || missing="$$missing python3"; \
	if [ -z "$$missing" ]; then :; \
	elif command -v apt-get >/dev/null && { [ "$$(id -u)" = 0 ] || command -v sudo >/dev/null; }; then \
		as_root=; [ "$$(id -u)" = 0 ] || as_root=sudo; \
		$$as_root apt-get update && $$as_root apt-get install --yes --no-install-recommends $$missing; \
	else \
		echo "missing:$$missing; on Debian: sudo apt-get install$$missing" >&2; exit 1; \
	fi
	@command -v cargo >/dev/null || { \
		echo "missing: cargo; install Rust from https://rustup.rs, open a new shell, run make again" >&2; exit 1; \
	}
