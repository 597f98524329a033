# demo   start everything and a small real training run; it can be told, as in make demo PORT=8051 FAULT=stale,
#          PORT=8050            of the dashboard
#          STEPS=2000           to train, 0 = until stopped
#          FAULT=stale          to break something on purpose; an unknown one is told those there are
#          DATA=.rolloutwatch   the folder of the archive; demos at the same time need one each
# test   all tests, against a real Redis-protocol server and in a real browser; two files at a time, or as many as WORKERS= says
# chaos  100,000 records each while Redis, server or trainer are killed, hung, wiped or full, and alerts with them: eight minutes; it can be told
#          SEED=7               to do the same again at the same steps
#          SCENARIOS=redis-full which ones, all if none
# soak   a day's steps through one monitor: memory, threads and open files
# quick  the tests that need neither, nor machine code that torch has to make first
# check  lint, types, import contracts, generated docs
# bench  the benchmarks, one after the other
# docs   print the generated docs anew
# screenshots  pictures of all pages, light and dark, on a desk and on a phone, in .screenshots; some are shown in the docs
# clean  remove what the other verbs made, the demo's archives too, but none that DATA= put elsewhere

PYTHON ?= python3
PORT ?= 8050
STEPS ?= 2000
FAULT ?=
WORKERS ?= 2
DATA ?= .rolloutwatch
BIN := .venv/bin
PARTS := contract correction client dashboard server
DISTRIBUTIONS := rolloutwatch rolloutwatch-contract rolloutwatch-correction rolloutwatch-dashboard rolloutwatch-server
EDITABLE := $(PARTS:%=-e ./%)
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test chaos soak quick check bench docs screenshots clean help
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# //p' Makefile | head -16

demo: .venv/installed
	@$(BIN)/python examples/demo.py --port '$(PORT)' --steps '$(STEPS)' --data-dir '$(DATA)' $(if $(FAULT),--fault '$(FAULT)')

test: .venv/installed-tests
	$(BIN)/python -m pytest -n '$(WORKERS)' --dist loadfile

chaos: .venv/installed-tests
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed '$(SEED)') $(SCENARIOS)

soak: .venv/installed-tests
	$(BIN)/python -m tests.chaos.soak

quick: .venv/installed-tests
	$(BIN)/python -m pytest -m "not redis and not end_to_end and not browser and not compile"

check: .venv/installed-tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.10 contract/rolloutwatch_contract correction/rolloutwatch_correction client/rolloutwatch
	$(BIN)/lint-imports
	$(BIN)/python docs/generate_metrics.py --check
	$(BIN)/python docs/generate_settings.py --check
	$(BIN)/python docs/generate_diagnosis.py --check
	$(BIN)/python docs/diagnosis_pictures.py --check

screenshots: .venv/installed-tests
	$(BIN)/python docs/screenshots.py

bench: .venv/installed-tests
	@for one in benchmarks/*/__main__.py; do $(BIN)/python -m benchmarks.$$(basename $$(dirname $$one)) || exit 1; done

docs: .venv/installed-tests
	$(BIN)/python docs/generate_metrics.py
	$(BIN)/python docs/generate_settings.py
	$(BIN)/python docs/generate_diagnosis.py
	$(BIN)/python docs/diagnosis_pictures.py

clean:
	rm -rf .venv .rolloutwatch .rolloutwatch-* .screenshots .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(f"Rolloutwatch needs Python 3.11 or newer, {sys.executable} is {sys.version.split()[0]}. Name another one: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	@echo "Creating .venv ..."
	@$(PYTHON) -m venv .venv

# The build back-end is installed first so that pip need not fetch it once for each of the five.
# The five are removed first because pip replaces one after the other: a file that moves to one from a later one is lost.
.venv/installed: constraints.txt $(PARTS:%=%/pyproject.toml) | .venv/bin/python
	@echo "Installing Rolloutwatch and what it needs; the first time takes a few minutes ..."
	@$(PIP) hatchling editables
	@$(BIN)/python -m pip --disable-pip-version-check uninstall --yes --quiet $(DISTRIBUTIONS) 2>/dev/null
	@$(PIP) --no-build-isolation $(EDITABLE)
	@touch $@

.venv/installed-tests: tests/requirements.txt .venv/installed
	@echo "Installing what the tests need ..."
	@$(PIP) --requirement tests/requirements.txt
	@touch $@
