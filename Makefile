# The commands a person types. Every target sets up $(VENV) first, which is quick when nothing changed.

VENV ?= .venv
PYTHON ?= python3
JOBS ?= auto
ARGS ?=
BIN := $(VENV)/bin

export VENV PYTHON TORCH TORCHVISION RESNEXT_DET_DETECTRON2
# One thread per test process: several processes share the cores, and sums keep one order.
PYTEST := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 MPLBACKEND=Agg \
	$(BIN)/python -m pytest -n $(JOBS) --maxprocesses 8

.DEFAULT_GOAL := help
.PHONY: help setup detectron2 quickstart test test-fast test-slow test-long fuzz lint audit format clean clean-venv

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "Variables, as in 'make test ARGS=\"-k resume\"':"
	@echo "  ARGS=…                     passed on to pytest, or to the quickstart"
	@echo "  JOBS=auto                  test processes at a time (0: all in one)"
	@echo "  VENV=.venv  PYTHON=python3 where the environment goes, and what makes it"
	@echo "  TORCH=2.11.0 TORCHVISION=0.26.0"
	@echo "                             these two instead of the pinned ones; all other pins stay"
	@echo "                             (but setuptools, which each torch limits); kept for later runs"
	@echo "  RESNEXT_DET_DETECTRON2=auto|skip|FOLDER"
	@echo "                             try its pinned commit, leave it out, or compile this checkout;"
	@echo "                             kept for later runs"

setup:  ## Make the virtual environment and install everything into it
	@tools/setup.sh

detectron2:  ## Try again to install Detectron2, where that failed before
	@rm -f $(VENV)/.setup-detectron2
	@tools/setup.sh

quickstart: setup  ## Run the main job end to end: output/quickstart/report.html
	$(BIN)/python projects/Quickstart/run.py $(ARGS)

test: setup  ## Run the tests that this machine can run, the slow ones too
	$(PYTEST) --run-slow $(ARGS)

test-fast: setup  ## The same without the slow tests
	$(PYTEST) $(ARGS)

test-slow: setup  ## The slow tests alone
	$(PYTEST) --run-slow -m slow $(ARGS)

test-long: setup  ## Run every test there is, with all combinations, for a night
	$(PYTEST) --run-long $(ARGS)

fuzz: setup  ## Fuzz what reads strangers' files for 30 minutes: output/fuzzing.json
	-@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/python -m pip install --quiet \
		--disable-pip-version-check -c $(VENV)/constraints.txt atheris
	$(BIN)/python -m tests.fuzzing --seconds 450 --json output/fuzzing.json $(ARGS)

lint: setup  ## Check style, import contracts, types and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/basedpyright --project pyproject.toml --pythonpath $(BIN)/python
	$(BIN)/codespell

audit: setup  ## Look for known weaknesses in all packages that are pinned or installed
	$(BIN)/python -m tools.audit

format: setup  ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean:  ## Remove caches and built files; output/ and datasets/ stay
	rm -rf build dist .pytest_cache .ruff_cache .import_linter_cache
	find . -path ./$(VENV) -prune -o -type d -name __pycache__ -exec rm -rf {} +

clean-venv:  ## Remove the virtual environment, and with it its remembered choices
	test ! -e $(VENV) || test -f $(VENV)/pyvenv.cfg
	rm -rf $(VENV)
