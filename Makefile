# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
BIN := .venv/bin
BENCH ?=

.PHONY: demo test check soak bench setup office lock clean
.DEFAULT_GOAL := help

help: ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: setup office ## convert a bucket of sample documents and pictures from Airflow, on the local CI
	@$(BIN)/python -m demo

test: setup office check ## every check: formatter, linter, types, unit and integration tests, example DAGs
	@$(BIN)/python -m pytest

check: setup ## formatter, linter, types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

soak: setup ## 300 batches that are killed, cut off and started again; 0 lost, 0 doubled
	@$(BIN)/python -m tests.soak --rounds 300

bench: setup office ## ratios against the peers; BENCH=NAME runs one
	@$(BIN)/python -m benchmarks $(BENCH)

setup: .venv/ready ## the Python packages of requirements.lock, in .venv

.venv/ready: requirements.lock pyproject.toml .ci/venv
	@PYTHON=$(PYTHON) .ci/venv

office: setup ## LibreOffice, by the system's package manager where it is missing
	@$(BIN)/ci-local install-office

lock: setup ## resolve the newest versions into requirements.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.10 --no-emit-index-url \
	  --generate-hashes --all-extras --custom-compile-command "make lock" pyproject.toml -o requirements.lock

clean: ## remove what the commands made
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist demo/airflow demo/buckets demo/logs
