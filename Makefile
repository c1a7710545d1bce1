# Needs Python 3.11, 3.12 or 3.13 and make; everything else goes into .venv.

ifndef PYTHON
PYTHON  := $(shell for v in 3.11 3.12 3.13; do \
             python$$v -c 'import venv' >/dev/null 2>&1 && echo python$$v && break; done)
endif
PROFILE ?= book
VENV    := .venv
RUN     := $(VENV)/bin/python
PYTEST  := $(RUN) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --durations=25
READY   := $(VENV)/.ready
ONLY     = $(CHAPTER:%=--chapter %) $(SETTING:%=--setting %)

export OMP_NUM_THREADS := 1
export PYTHONDONTWRITEBYTECODE :=
export SOURCE_DATE_EPOCH := 0

.DEFAULT_GOAL := help
.PHONY: help book pdf test check lint reading outputs references portable records colab bench pins release clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

book: $(READY) ## Run the chapters that changed and render the book (PROFILE=smoke|book|paper, FRESH=1)
	@$(RUN) book/build.py --profile $(PROFILE) $(if $(FRESH),--fresh)

pdf: book ## Print the pages into one PDF with bookmarks (needs Chromium)
	@$(RUN) book/edition.py

test: lint ## Check the code, the packages, the notebooks and the pages
	@echo "Tests of the packages, of the notebooks against their stored outputs, and of the pages"
	@$(PYTEST)
	@echo "All tests passed"

check: lint ## Check the code and the packages: the short loop
	@$(PYTEST) -m "not starts" tests/xaicore tests/xaibook tests/test_architecture.py

lint: $(READY) ## Check style and types
	@echo "Style and types"
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

reading: $(READY) ## Count what each page asks of its reader, and list what breaks the rules (CHAPTER)
	@$(RUN) book/lint.py $(if $(CHAPTER),--chapter $(CHAPTER))

outputs: $(READY) ## Run the notebooks' smoke profile and store the outputs in notebooks/ (CHAPTER)
	@$(RUN) book/build.py --outputs $(if $(CHAPTER),--chapter $(CHAPTER))

references: $(READY) ## Publish what chapters check, with its spread over settings (PROFILE, CHAPTER)
	@$(RUN) book/references.py --profile $(PROFILE) $(ONLY)

portable: $(READY) ## Compare the smoke values under each instruction set of this machine (SETTING)
	@$(RUN) book/references.py --compare $(ONLY)

records: $(READY) ## Measure all methods by all measures again and store the records (hours)
	@$(RUN) book/records.py

colab: $(READY) ## Rehearse the chapters as on Colab: the package as a wheel, each notebook alone
	@$(RUN) -m pytest -q tests/book/test_colab.py

bench: $(READY) ## Measure the speed beside other libraries and store it (a quarter of an hour)
	@$(RUN) -m uv pip install --quiet --python $(RUN) -c constraints.txt -e '.[bench]'
	@$(RUN) -m benchmarks

pins: $(READY) ## Choose new versions for constraints.txt
	@$(RUN) -m uv pip compile pyproject.toml --extra dev --extra bench --universal \
	  --fork-strategy fewest --python-version 3.11 --no-annotate --no-header \
	  --no-emit-index-url --upgrade -q \
	  | sed 's/ ;.*//' > constraints.txt

release: lint ## Make wheel and sdist, try each in an empty environment, and tag the version
	@$(RUN) book/release.py

clean: ## Remove what was built, the environment included
	@rm -rf _build book/chapters build dist *.egg-info $(VENV)

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 with its venv module is needed:" \
	  "install python3 and python3-venv, or say where it is with make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) has no ensurepip:" \
	  "install the package python3-venv of this system (or python3.11-venv, ...)" >&2; exit 1; }
	@echo "Making the environment in $(VENV) with $(PYTHON) (some gigabytes; minutes the first time)"
	@test -x $(RUN) || "$(PYTHON)" -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	@$(RUN) -m uv pip install --compile-bytecode --python $(RUN) -c constraints.txt -e '.[dev]'
	@touch $@
