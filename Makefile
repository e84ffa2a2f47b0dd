# `make demo` and `make test` need Python 3.11 and make; what else is missing they set up themselves.

PYTHON ?= python3.11
DATA ?=
UPGRADE ?=

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export SOLCX_BINARY_PATH := $(CURDIR)/.venv/solc
# Else each of some hundred processes would compile anew what it loads.
unexport PYTHONDONTWRITEBYTECODE
# Seven times as fast as the one that Ape brings along.
export ETH_HASH_BACKEND := pysha3

# Only the contracts' tests are Ape's: its pytest plugin would start a chain for the others, too.
PYTEST := pytest -p no:ape_test
# Hypothesis takes a second at the end even where it has had nothing to do.
E2E := $(PYTEST) -p no:hypothesispytest
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate $(UPGRADE)

.PHONY: help setup setup-hosts setup-inspector setup-proofs demo test lint types abi test-contracts test-client test-e2e test-faces test-failures test-hosts test-inspector fuzz chaos bench bench-gas bench-recall coverage prove slither mutants lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' Makefile

setup: ## everything that building and testing need, into .venv and node_modules
	@command -v $(PYTHON) >/dev/null || { echo "set-up failed: there is no $(PYTHON) on PATH" >&2; exit 1; }
	@$(PYTHON) scripts/_setup/environment.py

setup-inspector: setup ## another client of MCP besides, into .venv/inspector
	@$(PYTHON) scripts/_setup/environment.py inspector

setup-proofs: setup ## what proofs, static analysis and mutants need besides, into .venv-proofs
	@$(PYTHON) scripts/_setup/environment.py proofs

setup-hosts: setup ## an IPFS node besides, into .venv/hosts
	@$(PYTHON) scripts/_setup/environment.py hosts

demo: setup ## two people, two tools and one memory, on a chain of this computer's own (DATA=path: your export)
	@python scripts/demo.py $(if $(DATA),"$(DATA)")

# Six at once even on two cores: each waits for disk and chain a good part of its time.
TOGETHER := --no-print-directory --jobs=6 --output-sync=target

test: setup ## all checks and tests
	@$(MAKE) --no-print-directory lint
	@echo "Types and five groups of tests are gone through side by side; each says how it went when it ends."
	@$(MAKE) $(TOGETHER) types test-failures test-e2e test-faces test-contracts test-client

lint: setup ## style of all Python
	@ruff check
	@ruff format --check

types: setup ## types of all Python
	@mypy

abi: setup ## compile the contracts; compare what the client knows of them (test-contracts does, too)
	@ape run export_abi --check

test-contracts: setup ## the contracts, by Ape on anvil
	@ape test tests/contracts

test-client: setup ## the client, part by part
	@$(PYTEST) tests/client

FAILURES := $(patsubst %,tests/e2e/test_%.py,bad_input chaos crash distrust forget_crash going_on hostile_node \
	hostile_vault relay_distrust restore_crash tampering together transactions)
FACES := $(patsubst %,tests/e2e/test_%.py,connect exchange face first_light kit_commands library mcp mcp_http mcp_owner \
	readme relay scan secrets standing)

test-e2e: setup ## the client and the contracts together, from end to end
	@$(E2E) tests/e2e $(addprefix --ignore=,$(FAILURES) $(FACES))

test-faces: setup ## the same as people and programs meet it: the command, the library, MCP
	@$(E2E) $(FACES)

test-failures: setup ## the same while processes are killed, disks are full, and nodes, hosts and writers lie
	@$(E2E) $(FAILURES)

test-hosts: setup-hosts ## vaults on an IPFS node and in a bucket
	@$(PYTEST) tests/hosts

test-inspector: setup-inspector ## tools over MCP as another implementation of a client finds them
	@$(PYTEST) tests/inspector

fuzz: setup ## 2,000 inputs for each decoder and each way to damage an export (INPUTS=20000: so many), in some minutes
	@FUZZ_INPUTS=$(or $(INPUTS),2000) $(PYTEST) tests/client/test_fuzz.py tests/client/test_fuzz_independent.py \
		tests/client/test_import_fuzz.py

chaos: setup ## processes killed at 200 random points of all that writes, beside a plain model (ROUNDS=50 SEED=7), in some minutes
	@python -m tests.chaos $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SEED),--seed $(SEED))

bench: setup ## speed and size
	@python scripts/bench_crypto.py
	@python scripts/bench.py
	@python scripts/bench_scale.py

bench-gas: setup ## gas beside two contracts that do the same work, and of a vault with its blobs on chain
	@python scripts/bench_gas.py
	@python scripts/bench_evm.py

bench-recall: setup ## what the search finds of DATA=folder, and its speed, there and at 100,000 memories
	@python scripts/bench_recall.py $(if $(DATA),"$(DATA)")

coverage: setup ## lines and branches of the contracts that their tests run, by file, in some minutes
	@ape test tests/contracts -p tests.contracts.coverage

prove: setup-proofs ## the registry's rules for every caller, argument and state, by Halmos
	@PATH=$(CURDIR)/.venv-proofs/bin:$$PATH python tests/proofs/prove.py

slither: setup-proofs ## static analysis of the contracts
	@PATH=$(CURDIR)/.venv-proofs/bin:$$PATH slither .

mutants: setup-proofs ## whether tests notice each small change of the registry, in an hour or two (goes on where it stopped)
	@python -m tests.mutants.campaign

lock: setup ## write the locks anew (UPGRADE=--upgrade: with newer versions)
	$(COMPILE) --group build --output-file requirements-build.lock
	$(COMPILE) pyproject.toml --extra dev --output-file requirements.lock
	$(COMPILE) --group proofs --output-file requirements-proofs.lock
	npm install --package-lock-only
	npm install --package-lock-only --omit-lockfile-registry-resolved --prefix tests/proofs
	npm install --package-lock-only --omit-lockfile-registry-resolved --prefix tests/hosts
	npm install --package-lock-only --omit-lockfile-registry-resolved --prefix tests/inspector

clean: ## remove what compilers, tests and caches left; the environment stays
	rm -rf .build .hypothesis .mypy_cache .pytest_cache .ruff_cache .cache contracts/.cache dist
	find contracts memsync_client scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
