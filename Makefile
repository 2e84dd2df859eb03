# Needs Python >= 3.11, make and a package index; everything else goes into $(VENV).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
MODEL ?= $(lastword $(sort $(wildcard runs/demo-*)))
# One process per processor, each with one thread.
PYTEST_FLAGS ?= -n auto

.PHONY: help demo test app lint clean
help:
	@echo "make demo   sample images -> trained model -> scores -> masks, in about five minutes"
	@echo "make app    a web page for the newest demo model; MODEL=runs/NAME for another"
	@echo "make test   all tests"
	@echo "make lint   style, types and layers"
	@echo "make clean  remove the environment and caches; runs and data stay"

demo: $(VENV)/installed
	$(BIN)/segkit sample sample
	@set -e; run=runs/demo-$$(date +%Y%m%d-%H%M%S); \
	$(BIN)/segkit train sample --budget 3m -o $$run; \
	$(BIN)/segkit evaluate $$run sample; \
	$(BIN)/segkit predict $$run sample/images -o $$run/predictions --overlay; \
	echo; \
	echo "Report    $$run/report.html"; \
	echo "Masks     $$run/predictions/masks"; \
	echo "Overlays  $$run/predictions/overlays"; \
	echo; \
	echo "Go on with"; \
	echo "  $(BIN)/segkit predict $$run YOUR_IMAGES -o predictions --overlay"; \
	echo "  $(BIN)/segkit app $$run"; \
	echo "  $(BIN)/segkit train YOUR_DATA"

app: $(VENV)/installed
	@test -n "$(MODEL)" || { echo "no demo model yet: run 'make demo', or name one: make app MODEL=runs/NAME"; exit 2; }
	$(BIN)/segkit app $(MODEL)

test: $(VENV)/installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_FLAGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -c constraints.txt -e .
	@touch $@

$(VENV)/installed-%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -c constraints.txt -e ".[$*]"
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
