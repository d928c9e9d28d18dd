# `make demo` and `make test` do all the set-up they need on a fresh Debian or Ubuntu machine with Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench fuzz hostile setup packages clean

demo: setup
	$(BIN)/course demo

test: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	rm -f .test-results.xml
	$(BIN)/pytest --numprocesses=auto --maxprocesses=4 --dist=worksteal --junit-xml=.test-results.xml
	@test -s .test-results.xml || { echo "pytest ended before its end: something called exit"; exit 1; }

lint: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m benchmarks

fuzz: setup
	$(BIN)/python -m tests.fuzz

hostile: setup
	$(BIN)/python -m tests.hostile

setup: packages .venv/ready

packages:
	@sh scripts/packages.sh

.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	touch $@

clean:
	rm -rf .venv build *.egg-info verdicts autograded feedback release/*/ demo
