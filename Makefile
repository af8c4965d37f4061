# Few targets; each says in one line what it is for (make help).
PYTHON ?= python3
SEEDS ?= 20
RUNS ?= 10000000
ACTIONS ?= 1000000
WHAT ?= path
CONFIG ?=
PY := .venv/bin/python
SOURCES := pyproject.toml $(wildcard setup.py) $(wildcard csrc/*.c) $(wildcard csrc/*.h) $(wildcard csrc/*.py)

.PHONY: help setup run test fuzz bench bench-check drill prove-venue clients lint clean
.DEFAULT_GOAL := help

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: .venv/.built ## build .venv with the product installed; runs nothing

.venv/.installed: requirements.lock
	@sh scripts/ensure-system.sh $(PYTHON)
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

.venv/.built: .venv/.installed $(SOURCES)
	$(PY) -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

run: setup ## trade on the paper venue until Ctrl-C
	@exec .venv/bin/aegis up $(if $(CONFIG),--config $(CONFIG))

test: setup ## every test, C and sanitizers included; counts what was skipped
	$(PY) -m pytest

fuzz: ## mutated inputs through frames, tick and books under sanitizers; RUNS=10000000
	$(MAKE) -C tests/c fuzz RUNS=$(RUNS)

bench: setup ## the hot path against bare C and its rivals, as ratios; WHAT=venue: the venue against bare loops
	$(PY) tests/bench/$(if $(filter venue,$(WHAT)),bench_venue.py,table.py)
	$(if $(filter venue,$(WHAT)),$(PY) tests/exchange/compare_market.py)

bench-check: setup ## instruction budgets, no allocation, nothing lost or torn; part of make test
	$(PY) -m pytest tests/budget

drill: setup ## kill and stop each process while trading, compare the books; SEEDS=20
	$(PY) tests/drill.py --seeds $(SEEDS)

prove-venue: setup ## random clients against the venue's books; ACTIONS=1000000
	AEGIS_ACTIONS=$(ACTIONS) $(PY) -m pytest tests/property/test_venue_books.py -s -o timeout=3600

clients: setup ## clients nobody here wrote, each in its own environment, against the venue
	$(PY) tests/clients/signers/run.py
	$(PY) tests/clients/run.py

lint: setup ## style, types and import law
	$(PY) -m ruff check aegis tests
	$(PY) -m mypy
	.venv/bin/lint-imports

clean: ## remove what was built
	rm -rf .venv build *.egg-info aegis/native/*.so aegis/native/*.o
