# One command each, on a machine with nothing but Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# Modules are compiled when they are first imported; most never are, and compiling them all takes as long as installing them.
INSTALL := $(PY) -m pip --disable-pip-version-check --quiet install --no-compile --constraint constraints.txt --editable
PLAN ?= visioncore
ARGS ?=
DEMO := build/migrated
# PYTHONHASHSEED: sets are never iterated for output, and a fixed seed would hide it if they were.
unexport PYTHONHASHSEED
# Tests start thousands of processes: none should have to compile the modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup migrate rollback test regression mutants bench fuzz clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, $$($(PYTHON) --version) found; set PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.migration: $(PY) pyproject.toml constraints.txt
	@echo "setting up $(VENV) for migration (no torch)"
	@$(INSTALL) '.[migration]'
	@touch $@

$(VENV)/.all: $(PY) pyproject.toml constraints.txt
	@echo "setting up $(VENV), whole"
	@$(INSTALL) '.[all]'
	@touch $@ $(VENV)/.migration

setup: $(VENV)/.all ## the whole environment

migrate: $(VENV)/.migration ## migrate legacy/monolith into build/migrated, or REPO=path in place (PLAN=, ARGS=)
ifdef REPO
	@$(PY) -m migration apply --repo "$(REPO)" --plan "$(PLAN)" --yes $(ARGS)
else
	@rm -rf $(DEMO) && mkdir -p $(DEMO) && cp -R -p legacy/monolith/. $(DEMO)/
	@$(PY) -m migration apply --repo $(DEMO) --plan "$(PLAN)" --yes $(ARGS)
endif

rollback: $(VENV)/.migration ## take the last migration of REPO=path back
	@test -n "$(REPO)" || { echo "make rollback needs REPO=path"; exit 2; }
	@$(PY) -m migration rollback --repo "$(REPO)" --yes $(ARGS)

test: $(VENV)/.all ## linters, types, walls, the whole CPU test suite
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(PY) -m mypy & types=$$!; \
	$(PY) -m pytest tests/migration --cov --cov-report=term -n 2 --dist worksteal $(ARGS); tests=$$?; \
	wait $$types && exit $$tests
	$(PY) -m pytest tests --ignore=tests/migration -n 2 --dist worksteal $(ARGS)

regression: $(VENV)/.all ## old and new trainers side by side, on this machine's best device (ARGS=)
	$(PY) -m pytest regression/ --report build/regression/report.html $(ARGS)

mutants: $(VENV)/.all ## whether the comparison sees seeded faults, and nothing else (ARGS=)
	$(PY) -m regression.mutants $(ARGS)

bench: $(VENV)/.all ## the benchmarks, into build/bench.json
	@mkdir -p build
	$(PY) -m pytest benchmarks --benchmark-only --benchmark-json=build/bench.json -p no:cacheprovider $(ARGS)

fuzz: $(VENV)/.all ## random modules taken apart, checkpoints with bits flipped, until stopped (EXAMPLES=n for an end)
	FUZZ_EXAMPLES=$(or $(EXAMPLES),1000000) $(PY) -m pytest tests/migration/test_extraction_property.py fuzz/ -x -q -p no:cacheprovider $(ARGS)

clean: ## remove what the targets made
	rm -rf build $(VENV)
