# `make help` lists the targets. Everything is installed into .venv; nothing else is touched.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Two for each core: many tests wait for a server to start. Each file makes its server once.
TEST_PROCESSES ?= $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1))')

.DEFAULT_GOAL := help
.PHONY: help run dev test check prove bench lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

run: $(VENV)/installed ## set up on the first call, then start the server
	@$(BIN)/relevo setup
	@exec $(BIN)/relevo serve --stop-with-parent

dev: export ENVIRONMENT = development
dev: export LOG_FORMAT ?= console
dev: $(VENV)/installed ## like run, but reload the API when a file changes
	@$(BIN)/relevo setup
	@exec $(BIN)/relevo serve --stop-with-parent

# Set where people want no caches; without them each of the processes compiles every test again.
test: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/installed-dev ## run the tests; needs no service
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

check: $(VENV)/installed-dev ## lint, format, types, import rules, security rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports
	$(BIN)/bandit -q -r -c pyproject.toml .

prove: $(VENV)/installed-dev ## run the long crash and race campaigns
	$(BIN)/python -m tests.prove

bench: $(VENV)/installed-bench ## measure, and print ratios
	$(BIN)/python -m benchmarks

lock: $(VENV)/installed-dev ## resolve the dependencies again
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header \
		pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header \
		--group dev pyproject.toml -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header \
		--group dev --group bench pyproject.toml -o requirements-bench.txt

clean: ## remove the environment and caches; DATA_DIR stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	rm -rf build dist relevo.egg-info

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Relevo needs Python 3.11 or newer, and $(PYTHON) is not that." >&2; \
		echo "Name another one: make PYTHON=python3.12 run" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		echo "The environment could not be made. On Debian: apt install python3-venv" >&2; exit 1; }
	@touch $@

# The stamps hold the time of the last successful installation.
$(VENV)/installed: $(VENV)/created requirements.txt pyproject.toml
	$(BIN)/pip install --quiet --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/created requirements-dev.txt pyproject.toml
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed-dev requirements-bench.txt
	$(BIN)/pip install --quiet --require-hashes -r requirements-bench.txt
	@touch $@
