# Two commands: `make night` runs improvement rounds on the tutor, `make test` checks the whole house.
# Either sets everything up first; nothing else is needed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
LOOP ?= night
ROUNDS ?= 3
LAKE ?= $(or $(RATCHET_LAKE),lake)

export DO_NOT_TRACK := 1
export HF_HUB_OFFLINE := 1

.PHONY: night test lint types unit install install-dev bench base judge clean help

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

night: $(VENV)/.installed  ## set up, then run improvement rounds on the tutor; again: the next rounds
	@$(BIN)/ratchet run rft --loop $(LOOP) --rounds $(ROUNDS) --lake $(LAKE)

test: $(VENV)/.installed-dev lint types unit  ## set up, then lint, types and tests

lint: $(VENV)/.installed-dev  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev  ## mypy, strict
	$(BIN)/mypy

unit: $(VENV)/.installed-dev  ## the tests
	$(BIN)/python -m pytest

bench: $(VENV)/.installed-dev  ## benchmarks of minutes, a table each; bench.lake and bench.training apart
	$(BIN)/python -m bench.verify
	$(BIN)/python -m bench.verify_maths
	$(BIN)/python -m bench.verify_unit_tests
	$(BIN)/python -m bench.lake_append
	$(BIN)/python -m bench.generate
	$(BIN)/python -m bench.novelty
	$(BIN)/python -m bench.overhead

base: $(VENV)/.installed  ## build the tutor's base model again, from its stated seed
	$(BIN)/python -m tutor.build --out tutor/base

judge: $(VENV)/.installed  ## teach the tutor's judge again, from the base and its stated seed
	$(BIN)/python -m tutor.judge_build --out tutor/judge

install: $(VENV)/.installed  ## what a night needs
install-dev: $(VENV)/.installed-dev  ## what tests need too

# torch comes first and pinned, by pip: whatever else asks for it then takes that one.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "ratchet needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (a few minutes, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "installing what tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:  ## remove the environment and caches, never a lake
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build *.egg-info
