# `make demo` and `make test` need Python 3.11 and make; what else is missing they set up themselves.

PYTHON ?= python3.11
DATA ?=
UPGRADE ?=

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export SOLCX_BINARY_PATH := $(CURDIR)/.venv/solc

# Only the contracts' tests are Ape's: its pytest plugin would start a chain for the others, too.
PYTEST := pytest -p no:ape_test
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate $(UPGRADE)

.PHONY: help setup demo test lint types abi test-contracts test-client bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' Makefile

setup: ## everything that building and testing need, into .venv and node_modules
	@command -v $(PYTHON) >/dev/null || { echo "set-up failed: there is no $(PYTHON) on PATH" >&2; exit 1; }
	@$(PYTHON) scripts/_setup/environment.py

demo: setup ## two people, two tools and one memory, on a chain of this computer's own (DATA=path: your export)
	@python scripts/demo.py $(if $(DATA),"$(DATA)")

test: lint types abi ## all checks and tests
	@echo "The contracts' tests and the client's run side by side; each says how it went when it ends."
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-contracts test-client

lint: setup ## style of all Python
	@ruff check
	@ruff format --check

types: setup ## types of all Python
	@mypy

abi: setup ## compile the contracts; compare what the client knows of them
	@ape run export_abi --check

test-contracts: setup ## the contracts, by Ape on anvil
	@ape test tests/contracts

test-client: setup ## the client, and both together from end to end
	@$(PYTEST) tests/client tests/e2e

bench: setup ## speed and size
	@python scripts/bench.py

lock: setup ## write the locks anew (UPGRADE=--upgrade: with newer versions)
	$(COMPILE) --group build --output-file requirements-build.lock
	$(COMPILE) pyproject.toml --extra dev --output-file requirements.lock
	npm install --package-lock-only

clean: ## remove what compilers, tests and caches left; the environment stays
	rm -rf .build .hypothesis .mypy_cache .pytest_cache .ruff_cache contracts/.cache dist
	find contracts memsync_client scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
