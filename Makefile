# `make` is the door: `make help` lists what can be done. Everything is set up in .venv, nothing elsewhere.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test check bench format wheel clean

help: ## List what can be done
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## Show a real app with a failing mail server, three ways (about a minute)
	$(BIN)/python -m asynclog demo $(ARGS)

test: $(VENV)/.dev ## Run the tests
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

check: $(VENV)/.dev ## Lint, check types and the layers of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests/typed_uses.py
	$(BIN)/lint-imports

bench: $(VENV)/.bench ## Measure asynclog beside its peers and write a report; QUICK=1: in three minutes
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(ARGS)

format: $(VENV)/.dev ## Put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(VENV)/.dev ## Build the wheel into dist/
	$(BIN)/python -m build --quiet --wheel --outdir dist .

clean: ## Remove everything that was set up or built
	rm -rf $(VENV) dist build demo-report bench-report benchmarks/report benchmarks/report-* .pytest_cache .mypy_cache .ruff_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "asynclog needs Python 3.11 or later; say which with PYTHON=python3.x"; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing what the demo needs into $(VENV) ..."
	@$(PIP) --constraint constraints.txt --editable '.[demo]'
	@touch $@

$(VENV)/.bench: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing what the benchmarks measure into $(VENV) ..."
	@$(PIP) --constraint constraints.txt --editable '.[bench]'
	@touch $@ $(VENV)/.demo

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing what the tests need into $(VENV) ..."
	@$(PIP) --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.demo $(VENV)/.bench
