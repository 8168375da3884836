# Everything a clone needs: `make demo` shows it, `make test` proves it. Python >= 3.11, stable Rust and make suffice.
# Each step leaves a stamp in .venv, so that a second call only redoes what changed.

PYTHON ?= python3
DIST ?= dist
MODEL ?= smollm2
PROMPT ?= Explain in two sentences why a computer needs memory.
TOKENS ?= 64
# For example --locked, or -q.
CARGO_FLAGS ?=
# For example -k machine, or -x.
PYTEST_FLAGS ?=

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# maturin finds the environment to install into by this variable; pyo3 asks the same Python in every build.
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
unexport PYTHONHOME PYTHONPATH CONDA_PREFIX
# Tests keep debug assertions and overflow checks, but at -O0 the kernels would take minutes.
export CARGO_PROFILE_DEV_OPT_LEVEL := 2

RUST_SOURCES := Cargo.toml Cargo.lock $(shell find rust -name '*.rs' -o -name Cargo.toml)
MADE := $(VENV)/.made
INSTALLED := $(VENV)/.installed
TOOLS := $(VENV)/.tools

.PHONY: help demo test accuracy lint lint-rust lint-python test-rust test-python nightly bench instructions install wheel sdist clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(INSTALLED) ## build, install, fetch SmolLM2-135M-Instruct and decode a prompt on one emulated SN40L socket
	$(BIN)/rdu pull $(MODEL)
	$(BIN)/rdu run $(MODEL) -p "$(PROMPT)" -n $(TOKENS)

install: $(INSTALLED) ## build the package and install it, editable, into .venv

test: lint test-rust test-python ## all checks and all tests

lint: lint-rust lint-python ## formatting, clippy, ruff, mypy, stubs against the binary

lint-rust: $(MADE)
	cargo fmt --all --check
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings

lint-python: $(INSTALLED) $(TOOLS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	if [ -e python/rdu/_core.pyi ]; then $(BIN)/stubtest --mypy-config-file pyproject.toml rdu._core; fi

test-rust: $(MADE) ## the engine's tests: no Python code runs in them
	cargo test $(CARGO_FLAGS) --workspace

test-python: $(INSTALLED) $(TOOLS) ## the package's tests, with the real model where a test asks for it
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

accuracy: $(INSTALLED) $(TOOLS) ## distances from the reference logits, divergences and perplexities, as a table (3 minutes)
	$(BIN)/python tests/accuracy.py

nightly: $(INSTALLED) $(TOOLS) ## the properties of the engine on tens of thousands of random programs (10 minutes)
	$(BIN)/python -m pytest --hypothesis-profile=nightly --timeout=3600 -o faulthandler_timeout=3600 \
		tests/test_step_properties.py tests/test_fast_properties.py $(PYTEST_FLAGS)
	PROPTEST_CASES=20000 cargo test $(CARGO_FLAGS) --release --test fast --test choices

bench: $(INSTALLED) $(TOOLS) ## rates of the engine and of the package, built in release mode
	cargo bench $(CARGO_FLAGS) --workspace
	$(BIN)/python -m pytest benches --benchmark-only

instructions: $(MADE) ## instructions per firing and per transfer of the engine, which noise does not touch (needs valgrind)
	$(BIN)/python benches/instructions.py

wheel: $(MADE) ## one abi3 wheel for this platform, in dist/
	$(BIN)/maturin build --release $(CARGO_FLAGS) --out $(DIST)

sdist: $(MADE) ## the source distribution, in dist/
	$(BIN)/maturin sdist --out $(DIST)

clean: ## remove everything that was built (the model cache is outside and stays)
	rm -rf $(VENV) target dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	rm -f python/rdu/_core*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- stamps ----------------------------------------------------------------------------------------------------------

$(MADE):
	@command -v cargo > /dev/null || { echo "make: cargo not found; install stable Rust >= 1.89 (https://rustup.rs)"; exit 1; }
	@command -v $(PYTHON) > /dev/null || { echo "make: $(PYTHON) not found; install Python >= 3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $(PYTHON) is $$($(PYTHON) --version); Python >= 3.11 is needed, try make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	# Older pips know no dependency groups.
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' 'maturin>=1.9.4,<2'
	touch $@

# The install is editable: Python sources are read in place, only the Rust core and the metadata need a rebuild.
$(INSTALLED): $(MADE) pyproject.toml $(RUST_SOURCES)
	$(BIN)/maturin develop --release $(CARGO_FLAGS) --extras all
	touch $@

$(TOOLS): $(MADE) pyproject.toml
	$(BIN)/python -m pip install --quiet --group dev
	touch $@
