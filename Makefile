# Each target makes the environment it needs; a second call finds it there.
# make quickstart OUT=folder ARGS="--fast" hands on a folder and options.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install install-dev quickstart test test-offline test-long torture dist docs lint locks audit clean

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# Only wheels whose hashes the lock files hold are let in; the build backend is one of them, hence no build isolation.
PIP := $(BIN)/python -m pip
INSTALL := $(PIP) install --quiet --disable-pip-version-check
HASHED := $(INSTALL) --require-hashes --only-binary :all:

# PyPI's torch for Linux is a CUDA build and needs NVIDIA's packages, so requirements.lock serves there only where pip
# is offered a CPU build (PyTorch's CPU index, a wheel at hand). make install LOCK=requirements-cuda.lock chooses.
TORCH = $(shell sed -n 's/^torch==\([0-9.]*\).*/\1/p' requirements.lock)
LOCK = $(shell [ "$$(uname -s)" = Linux ] && ! $(PIP) index versions torch 2>/dev/null | grep -qF "$(TORCH)+cpu" \
	&& echo requirements-cuda.lock || echo requirements.lock)

$(VENV)/.installed: $(VENV)/bin/python requirements.lock requirements-cuda.lock pyproject.toml
	$(HASHED) -r $(LOCK)
	$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(HASHED) -r requirements-dev.lock
	@touch $@

quickstart: install
	$(BIN)/pointdistill quickstart $(if $(OUT),--out $(OUT)) $(ARGS)

test: install-dev
	$(BIN)/python -m pytest -m "not long" -n auto --dist loadfile

test-long: install-dev
	$(BIN)/python -m pytest -m long -n auto --dist loadfile

# The quick tests in a network namespace with loopback only, but for those that may install packages.
test-offline: install-dev
	unshare $(if $(filter-out 0,$(shell id -u)),--user --map-root-user) --net $(BIN)/python tests/test_offline.py \
		$(BIN)/python -m pytest -m "not long" -n auto --dist loadfile --ignore tests/test_readme.py

# Malformed files by the hundred thousand, commands killed fifty times each, training for as long as is asked
# (docs/reliability.md). make torture INPUTS=20000 KILLS=5 SEED=3 MINUTES=120
INPUTS ?= 200000
KILLS ?= 50
SEED ?= 0
MINUTES ?= 45
torture: install-dev
	cd tests && ../$(BIN)/python -m fuzzing.harness --inputs $(INPUTS) --seed $(SEED)
	cd tests && ../$(BIN)/python killed.py --kills $(KILLS) --seed $(SEED)
	cd tests && OMP_NUM_THREADS=1 THP_MEM_ALLOC_ENABLE=0 ../$(BIN)/python soak.py --minutes $(MINUTES)

# What is published, with bytes that depend on the sources alone: backend/reproducible.py. In dist/.
dist: install-dev
	mkdir -p dist
	$(BIN)/python -c "import sys; sys.path.insert(0, 'backend'); import reproducible as r; r.build_sdist('dist'); \
		r.build_wheel('dist')"
	cd dist && sha256sum *.whl *.tar.gz

# The documentation's site in build/site: warnings, and links that lead nowhere, are errors.
docs: install-dev
	$(BIN)/python backend/docs_site.py

lint: install-dev
	$(BIN)/ruff check src tests benchmarks backend
	$(BIN)/ruff format --check src tests benchmarks backend
	$(BIN)/pyright

# The lock files anew, their heads kept: the versions they hold, or the newest with ARGS=--upgrade. uv keeps the hashes of
# a version that stays, those of PyTorch's CPU index among them, which are entered by hand for a new torch.
define lock
	sed '/^[^#]/,$$d' $(1) >$(1).head
	$(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --only-binary :all: \
		--generate-hashes --no-header --no-annotate -o $(1) $(2) $(ARGS)
	cat $(1).head $(1) >$(1).new
	mv $(1).new $(1)
	@rm $(1).head
endef
# Options that leave out what requirements-cuda.lock has, all of it or the CUDA build's own.
WITHOUT = $$(sed -nE 's/^($(1)[^=]*)==.*/--no-emit-package \1/p' requirements-cuda.lock)
locks: install-dev
	$(call lock,requirements-cuda.lock)
	$(call lock,requirements.lock,-c requirements-cuda.lock $(call WITHOUT,(cuda-|nvidia-|triton)))
	$(call lock,requirements-dev.lock,-c requirements-cuda.lock --extra dev $(call WITHOUT))

# Known vulnerabilities of what is pinned; --strict: what could not be asked about counts as a fault. It asks PyPI's
# advisories, so it is no part of the tests.
audit: install-dev
	$(BIN)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off \
		-r requirements.lock -r requirements-cuda.lock -r requirements-dev.lock

clean:
	rm -rf $(VENV) build dist .cache *.egg-info
