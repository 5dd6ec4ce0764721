# make demo    run the example pipeline on this machine, with the real clients and a local Azure
# make check   run the quick checks: ruff, mypy, the architecture, the fast tests on one Python
# make test    run everything that CI runs: lint, types, and the built wheel on every Python from 3.9 on
# make docs    write docs/settings.md and docs/cli.md again, from the tables in the code
# make bench   measure the cost of a call and of an import
# make clean   restore the state after `git clone`
#
# Needs Python >= 3.9 (with venv), git and make. Everything else is installed into .venv. PYTHON=... chooses a Python.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= $(shell for python in python3 python3.15 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1 \
	&& { echo "$$python"; break; }; done)
BIN := .venv/bin

# uv installs in a sixth of pip's time, but does not read pip's configuration. So the index that is set there is passed on.
define AS_PIP
index=$$($(BIN)/pip config list 2>/dev/null | sed -n "s/^[a-z:]*\.index-url='\(.*\)'$$/\1/p" | tail -n 1); \
if [ -n "$$index" ]; then export UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$index}"; fi
endef

.PHONY: demo check test bench docs clean
.DEFAULT_GOAL := check

demo: .venv/.installed
	@$(BIN)/python examples/pipeline/run.py

# Fast tests that are marked slow, so that `make test` does not run them on each Python.
FAST := tests/test_architecture.py tests/test_reliability.py tests/record/secrets

check: .venv/.installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pytest -q -n auto --maxschedchunk 8 -m "not slow"
	@$(BIN)/pytest -q -n auto --maxschedchunk 8 $(FAST)

test: .venv/.tools
	@$(AS_PIP); $(BIN)/nox

bench: .venv/.installed
	$(BIN)/python bench/run.py

docs: .venv/.installed
	@$(BIN)/python docs/make_settings.py
	@$(BIN)/python docs/make_cli.py

clean:
	rm -rf .venv .nox dist build .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis .amllog
	find . -name __pycache__ -prune -exec rm -rf {} +

# The stamp files record what is installed, so that a second call of a command starts at once.
.venv/.tools: Makefile
	@[ -n "$(PYTHON)" ] || { echo "amllog needs Python 3.9 or newer. None was found as python3, python3.9 … python3.15." \
		"Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit("amllog needs Python >= 3.9; $(PYTHON) is " + sys.version.split()[0] \
		if sys.version_info < (3, 9) else 0)'
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv. On Debian and Ubuntu:" \
		"apt-get install python3-venv" >&2; exit 1; }
	@echo "creating .venv with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv --clear .venv
	@$(BIN)/pip install -qq --disable-pip-version-check "nox>=2025.5.1" "uv>=0.8"
	@touch $@

# azureml is compiled here: Python prints warnings about its strings when it compiles them, and tests read the output.
.venv/.installed: .venv/.tools pyproject.toml
	@echo "installing amllog, its development tools and the packages of its tests into .venv"
	@$(AS_PIP); $(BIN)/uv pip install --quiet --python $(BIN)/python --editable . --group dev
	@$(BIN)/python tests/insights/language.py
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -W ignore -c "import azureml.core"
	@touch $@
