# convbridge: everything runs in a virtual environment of its own, made when it is first needed.
#
#   make compare   every example of the chapters, computed by all four frameworks side by side
#   make test      the tests, on all four backends
#   make parity    the whole matrix: every case on every backend; report.html shows it
#   make page      the chapters as a page to try out: page.html
#   make pictures  the README's pictures of that page, by chromium
#   make tour      examples/tour.ipynb, run again, its outputs kept
#   make fuzz      10,000 random cases per backend, 5,000 of gradients, 1,000 in "fast", against the oracle
#   make lint      ruff, its formatter, mypy
#   make bench     the short benchmarks: bench.json, and bench.svg to look at
#   make clean     remove what was made

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BACKENDS := numpy,torch,tensorflow,mxnet
CASES ?= 10000
SEED ?= 1

# TensorFlow's notes about its own processor features say nothing about a result.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: compare test parity page pictures tour fuzz lint format bench clean

compare: $(READY)
	$(BIN)/convbridge compare --backends $(BACKENDS)

test: $(READY)
	CONVBRIDGE_TEST_BACKENDS=$(BACKENDS) $(BIN)/python -m pytest tests $(PYTEST_OPTIONS)
	$(BIN)/python -m pytest --doctest-modules --pyargs convbridge convbridge_numpy convbridge_torch convbridge_tensorflow convbridge_mxnet

parity: $(READY)
	$(BIN)/convbridge parity --backends $(BACKENDS) --html report.html

page: $(READY)
	$(BIN)/convbridge page --backends $(BACKENDS) --output page.html

pictures: page
	$(BIN)/python tests/pictures.py page.html

tour: $(READY)
	$(BIN)/python tests/tour.py

fuzz: $(READY)
	$(BIN)/python -m convbridge.parity.fuzz --backends $(BACKENDS) --cases $(CASES) --seed $(SEED)
	$(BIN)/python -m convbridge.parity.fuzz --gradients --backends $(BACKENDS) --cases $$(($(CASES) / 2)) --seed $(SEED)
	$(BIN)/python -m convbridge.parity.fuzz --precision fast --backends numpy --cases $$(($(CASES) / 10)) --seed $(SEED)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/convbridge bench --json bench.json --plot bench.svg $(BENCH_OPTIONS)

# An interrupted installation leaves no mark behind and is done again.
$(READY): pyproject.toml constraints/numpy1.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints/numpy1.txt --editable '.[all,dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
