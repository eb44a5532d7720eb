# Each target makes the environment it needs; a second call finds it there.
# make quickstart OUT=folder ARGS="--fast" hands on a folder and options.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install install-dev quickstart test test-long torture lint clean

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python requirements.lock pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@touch $@

quickstart: install
	$(BIN)/pointdistill quickstart $(if $(OUT),--out $(OUT)) $(ARGS)

test: install-dev
	$(BIN)/python -m pytest -m "not long" -n auto --dist loadfile

test-long: install-dev
	$(BIN)/python -m pytest -m long -n auto --dist loadfile

# Malformed files by the hundred thousand, commands killed fifty times each (docs/reliability.md).
# make torture INPUTS=20000 KILLS=5 SEED=3
INPUTS ?= 200000
KILLS ?= 50
SEED ?= 0
torture: install-dev
	cd tests && ../$(BIN)/python -m fuzzing.harness --inputs $(INPUTS) --seed $(SEED)
	cd tests && ../$(BIN)/python killed.py --kills $(KILLS) --seed $(SEED)

lint: install-dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/pyright

clean:
	rm -rf $(VENV) build dist *.egg-info
