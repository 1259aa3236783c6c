# Each target makes its own environment in .venv on first use; a second call finds it ready.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NEWEST := .venv-newest
# What computes with torch: metrics, files and names of checkpoints don't depend on its release.
NEWEST_TESTS := tests/nn tests/interfaces tests/upstreams/baselines tests/training/test_trainer.py \
    $(addprefix tests/core/test_,processes.py registry.py tensors.py types.py) \
    $(addprefix tests/encoders/waveform/test_,checkpoints.py description.py model.py) \
    $(addprefix tests/encoders/test_,devices.py embedding.py encoding.py upstream.py weights.py) \
    tests/downstreams/asr/test_alignment.py tests/downstreams/speaker_verification/test_heads.py
SITE := 'import sysconfig; print(sysconfig.get_path("purelib"))'
# More threads than processes only compete for the same cores.
export OMP_NUM_THREADS ?= 1
SHELL := /bin/bash

.PHONY: help quickstart test newest lint types docs clean

help:
	@echo "make quickstart   pre-trained encoder against log mel frames, on spoken digits, with a report"
	@echo "make test         the default tests (the slow ones: .venv/bin/pytest -m slow)"
	@echo "make newest       a part of them with the newest torch, without torchaudio and speechbrain"
	@echo "make lint         ruff check and ruff format --check"
	@echo "make types        mypy, strict"
	@echo "make docs         the documentation site, without warnings"
	@echo "make clean        remove what these made, the environment included"

quickstart: $(VENV)/dev.stamp
	PYTHON=$(CURDIR)/$(BIN)/python recipes/quickstart/run.sh

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n 2

# An environment that shares all packages with the first, but for its own torch (and what that wants otherwise), and in
# which importing torchaudio or speechbrain fails.
newest: $(VENV)/dev.stamp
	[ -x $(NEWEST)/bin/python ] || $(BIN)/python -m venv $(NEWEST)
	{ $(BIN)/python -c $(SITE); echo 'import sys; sys.modules.update(torchaudio=None, speechbrain=None)'; } \
	    > $$($(NEWEST)/bin/python -c $(SITE))/shared.pth
	$(NEWEST)/bin/python -m pip install --quiet --no-compile --upgrade torch
	$(NEWEST)/bin/python -m pytest -q -rN $(NEWEST_TESTS)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy audiossl

docs: $(VENV)/docs.stamp
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) $(NEWEST) build dist site report *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The environment is as new as what it was made from. Its byte code is made on all cores, which pip does on one. Some
# packages hold files for other versions of Python, which are no byte code.
$(VENV)/dev.stamp: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "error: Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e '.[dev]'
	$(BIN)/python -m compileall -q -j 0 $$($(BIN)/python -c $(SITE)) >/dev/null || true
	touch $@

$(VENV)/docs.stamp: $(VENV)/dev.stamp
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	touch $@
