# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
BIN := .venv/bin
BENCH ?=
# Objects that the Celery cluster converts in shards; 2,000 if not set.
OBJECTS ?=
# Processes that run tests: 4 if not set, as many tests wait, and 5 for the long tests, most of which wait.
WORKERS ?=
# Where this is set, each process compiles all that it imports, and pytest rewrites every test.
export PYTHONDONTWRITEBYTECODE :=
PYTEST = $(BIN)/python -m pytest -n $(or $(WORKERS),4)

.PHONY: demo up test test-long quick check soak matrix sdk-matrix e2e-celery bench docs setup office browser lock clean
.DEFAULT_GOAL := help

help: ## list the commands
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: setup office ## convert a bucket of sample documents and pictures from Airflow, on the local CI
	@$(BIN)/python -m demo

up: setup office ## Airflow's web UI with the example DAGs, beside the local CI on the samples, until Ctrl-C
	@$(BIN)/python -m demo.up

test: setup office browser check ## formatter, linter, types, unit and integration tests
	@$(PYTEST) -m "not long"

test-long: WORKERS := $(or $(WORKERS),5)
test-long: setup office browser ## the tests that kill, freeze and wait, and those that run whole programs
	@$(PYTEST) -m long

quick: setup check ## in a minute: formatter, linter, types, and the tests that are fast
	@$(PYTEST) -m "not slow"

check: setup ## formatter, linter, types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

soak: setup ## 600 batches that are killed, frozen, cut off and confused; 0 lost, 0 doubled
	@$(BIN)/python -m tests.soak --rounds 600

matrix: setup ## the Airflow layer's tests on every supported Airflow and Python
	@.ci/matrix

sdk-matrix: setup ## the official SDKs of Python and Node against the local CI
	@.ci/sdk-matrix

e2e-celery: setup ## a Celery cluster whose workers and triggerer are killed while it converts documents, OBJECTS=N in shards
	@.ci/e2e-celery $(OBJECTS)

bench: setup office ## ratios against the peers; BENCH=NAME runs one
	@$(BIN)/python -m benchmarks $(BENCH)

docs: ## the documentation site, in .site
	@.ci/docs

setup: .venv/ready ## the Python packages of requirements.lock, in .venv

.venv/ready: requirements.lock pyproject.toml .ci/venv
	@PYTHON=$(PYTHON) .ci/venv

office: setup ## LibreOffice, by the system's package manager where it is missing
	@$(BIN)/ci-local install-office

browser: ## a browser, curl and openssl for the tests of the pages, where they are missing
	@.ci/browser

lock: setup ## resolve the newest versions into requirements.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.10 --no-emit-index-url \
	  --generate-hashes --all-extras --custom-compile-command "make lock" pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.10 --no-emit-index-url \
	  --generate-hashes --group pyproject.toml:docs --custom-compile-command "make lock" -o .ci/docs.lock

clean: ## remove what the commands made
	@rm -rf .venv .matrix .mypy_cache .pytest_cache .ruff_cache .hypothesis dist .site demo/airflow demo/airflow-up demo/buckets demo/logs
