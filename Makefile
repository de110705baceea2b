# Every target does its own set-up, from a bare Python 3.11 or newer. `make help` lists them.
#
#   make test PYTHON=python3.12     another interpreter
#   make test VENV=/tmp/venv        another place for the virtual environment
#   make test ARGS="-k hub -x"      more arguments for what the target runs

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=

bin := $(VENV)/bin
# Plain `pip install torch` may bring gigabytes of CUDA packages: the tested version comes first.
torch := $(shell sed -n '/^torch==/p' constraints.txt)
# Not compiling halves the time: Python does it for the files that are really imported, and must
# then be allowed to keep what it compiled.
export PYTHONDONTWRITEBYTECODE :=
pip := PYTHONWARNINGS=ignore $(bin)/python -m pip install --quiet --no-compile --constraint constraints.txt
# setuptools is already there and of the tested version, so no build environment is made.
hfpipe := $(pip) --no-build-isolation --editable
needs := setup.cfg pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-long lint docs bench clean
.DELETE_ON_ERROR:

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.stamp-demo ## Rows to a dataset, a fine-tuned model and its evaluation, on a Hub of its own
	$(bin)/hfpipe demo --out runs/demo $(ARGS)

test: $(VENV)/.stamp-dev ## The test suite, with the real clients on a Hub on this machine
	$(bin)/python -m pytest $(ARGS)

test-long: $(VENV)/.stamp-dev ## The rest of it: clusters, several processes, runs that are killed
	$(bin)/python -m pytest -m long tests $(ARGS)

lint: $(VENV)/.stamp-dev ## Style, format, types, and which module may import which
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/lint-imports --no-logo

docs: $(VENV)/.stamp-docs ## The documentation as a site in build/site; a broken link fails
	$(bin)/mkdocs build --strict --quiet
	@echo "wrote build/site/index.html"

bench: $(VENV)/.stamp-demo ## Every benchmark, each against its target (ARGS=help_speed runs one)
	$(bin)/python -m benchmarks $(ARGS)

clean: ## Remove the virtual environment, caches and built files; runs/ stays
	@if test -e $(VENV)/pyvenv.cfg; then echo "rm -rf $(VENV)"; rm -rf $(VENV); fi
	rm -rf build dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# Set-up. A stamp newer than the files it needs means: nothing to do.

$(VENV)/.stamp-torch: $(needs)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "error: hfpipe needs Python 3.11 or newer, but '$(PYTHON) --version' says" \
	    "'$$($(PYTHON) --version 2>&1 | head -1)': name another with make PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up $(VENV): once, about a minute"
	@$(bin)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) || { \
	  echo "error: '$(PYTHON)' cannot make a virtual environment: install its venv module" \
	    "(Debian: apt install python3-venv) or name another with make PYTHON=…" >&2; exit 1; }
	@$(pip) --upgrade pip setuptools
	@$(pip) $(torch)
	@touch $@

$(VENV)/.stamp-demo: $(VENV)/.stamp-torch
	@$(hfpipe) '.[demo]'
	@touch $@

$(VENV)/.stamp-dev: $(VENV)/.stamp-torch
	@$(hfpipe) '.[demo,dev]'
	@touch $(VENV)/.stamp-demo $@

$(VENV)/.stamp-docs: $(VENV)/.stamp-torch
	@$(hfpipe) '.[demo,docs]'
	@touch $(VENV)/.stamp-demo $@
