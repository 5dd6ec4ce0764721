# make demo    the example pipeline on this machine, with the real clients and a far side of its own
# make check   the quick gates while you work: ruff, mypy, the house rules, the tests on one Python
# make test    everything that CI runs: lint, types, the built wheel on every Python from 3.9 to 3.13
# make bench   what a call and an import cost
# make clean   as after `git clone`
#
# Needs Python >= 3.9 (with venv), git and make; everything else goes into .venv. PYTHON=... chooses another one.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.10 python3.9 python; do \
	"$$python" -c 'import sys; sys.exit(not (3, 9) <= sys.version_info < (3, 14))' >/dev/null 2>&1 \
	&& { echo "$$python"; break; }; done)
BIN := .venv/bin

# uv installs in a sixth of pip's time, but does not read pip's configuration: hand on an index that is set there.
define AS_PIP
index=$$($(BIN)/pip config list 2>/dev/null | sed -n "s/^[a-z:]*\.index-url='\(.*\)'$$/\1/p" | tail -n 1); \
if [ -n "$$index" ]; then export UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$index}"; fi
endef

.PHONY: demo check test bench docs clean
.DEFAULT_GOAL := check

demo: .venv/.installed
	@$(BIN)/python examples/pipeline/run.py

check: .venv/.installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pytest -q -n 2

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

# The stamps say what is installed; a second call of any command finds them and starts at once.
.venv/.tools: Makefile
	@[ -n "$(PYTHON)" ] || { echo "amllog needs Python 3.9 to 3.13; none of python3, python3.9 … python3.13 is one." \
		"Install one, or say which: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit("amllog needs Python >= 3.9; $(PYTHON) is " + sys.version.split()[0] \
		if sys.version_info < (3, 9) else 0)'
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv; on Debian and Ubuntu:" \
		"apt-get install python3-venv" >&2; exit 1; }
	@echo "making .venv with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv --clear .venv
	@$(BIN)/pip install -qq --disable-pip-version-check "nox>=2025.5.1" "uv>=0.8"
	@touch $@

.venv/.installed: .venv/.tools pyproject.toml
	@echo "installing amllog and what its demo, tests and gates need into .venv"
	@$(AS_PIP); $(BIN)/uv pip install --quiet --python $(BIN)/python --editable . --group dev
	@$(BIN)/python tests/insights/language.py
	@touch $@
