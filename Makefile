# Each target makes its own environment in .venv on first use; a second call finds it ready.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# More threads than processes only compete for the same cores.
export OMP_NUM_THREADS ?= 1
SHELL := /bin/bash

.PHONY: help quickstart test lint types docs clean

help:
	@echo "make quickstart   pre-trained encoder against log mel frames, on spoken digits, with a report"
	@echo "make test         the default tests (the slow ones: .venv/bin/pytest -m slow)"
	@echo "make lint         ruff check and ruff format --check"
	@echo "make types        mypy, strict"
	@echo "make docs         the documentation site, without warnings"
	@echo "make clean        remove what these made, the environment included"

quickstart: $(VENV)/dev.stamp
	PYTHON=$(CURDIR)/$(BIN)/python recipes/quickstart/run.sh

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy audiossl

docs: $(VENV)/docs.stamp
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site report *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The environment is as new as what it was made from.
$(VENV)/dev.stamp: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "error: Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

$(VENV)/docs.stamp: $(VENV)/dev.stamp
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	touch $@
