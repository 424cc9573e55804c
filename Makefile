# `make demo` and `make test` need nothing but Python >= 3.11 and make: each sets itself up first.
# Another Python: make demo PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEVELOPER := $(VENV)/installed-dev
WRITER := $(VENV)/installed-docs
RUN := runs/demo
# A process for each core, up to four: some tests hold a gigabyte.
SPREAD := --numprocesses auto --maxprocesses 4 --dist worksteal
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-all check bench docs clean

help:  ## what there is (this list)
	@sed -n 's/^\([a-z-]*\):.*  ## /\1: /p' $(MAKEFILE_LIST) | awk -F': ' '{printf "  make %-9s %s\n", $$1, $$2}'

demo: $(DEVELOPER)  ## condense real digits, evaluate on unlike networks, report; 2 to 5 minutes
	$(BIN)/python examples/demo.py --out $(RUN)

test: $(DEVELOPER)  ## the quick tests; says how many ran, and which were skipped and why
	$(BIN)/python -m pytest -q -m "not slow and not cuda" $(SPREAD)

test-all: $(DEVELOPER)  ## every test, the slow ones too (the wheel in an empty environment)
	$(BIN)/python -m pytest -q $(SPREAD)

check: $(DEVELOPER)  ## ruff, mypy and the import arrows
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(DEVELOPER)  ## the measurements of REPRODUCIBILITY.md; hours
	@set -e; for script in $(filter-out benchmarks/seeds.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python $$script; done

docs: $(WRITER)  ## the documentation, into docs/_build/html
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

clean:  ## remove the environment and everything built; runs stay
	rm -rf $(VENV) build dist docs/_build src/*.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Once, and again whenever the stated dependencies or the tested versions change.
$(DEVELOPER): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Setting up $(VENV) (once: a few minutes and about 7 GB, most of it torch)"
	@$(INSTALL) --editable '.[dev]'
	@touch $@

$(WRITER): pyproject.toml constraints.txt $(DEVELOPER)
	@$(INSTALL) --editable '.[docs]'
	@touch $@

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) here: install Python 3.11 or newer, or name one: make demo PYTHON=/path/to/python3"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Condensery needs Python 3.11 or newer, and $(PYTHON) is older; name another: make demo PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 2; }
