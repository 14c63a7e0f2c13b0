# The course in one word each. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || echo python3)
TORCH_INDEX ?=
WORKERS ?= 2
ARGS ?=
FIRST = course/00_start/01_one_fact_nine_stages.ipynb
RUN = .venv/bin/python -m
KERNELS = .venv/etc/ipython/ipython_kernel_config.py
ROOT = $(shell [ "$$(id -u)" = 0 ] && echo --allow-root)

# Tests compute on one thread a worker and never ask a model hub for anything.
TESTS = HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(RUN) pytest -p tests.course.ledger -n $(WORKERS) --dist loadfile --durations 8 --durations-min 5
CHAPTERS = --nbval --nbval-current-env --nbval-cell-timeout=120 --nbval-sanitize-with tests/course/sanitize.cfg

.PHONY: help install lab test check test-all lifecycle notebooks labs system clean a-whole-clone
.DEFAULT_GOAL := help

help:  ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /|/' | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo
	@echo "  On Linux without a GPU, take PyTorch's smaller CPU wheels once: make install TORCH_INDEX=…"
	@echo "  with the CPU index named on pytorch.org's install page."

install: .venv/.lab $(KERNELS)  ## make .venv with what the course needs

lab: .venv/.lab $(KERNELS)  ## open the course in JupyterLab (ARGS="--no-browser --port 9999" for servers)
	@$(RUN) jupyterlab $(ROOT) --ServerApp.root_dir="$(CURDIR)" --LabApp.default_url=/lab/tree/$(FIRST) \
		--LabApp.app_settings_dir="$(CURDIR)/deploy/jupyterlab" --LabApp.news_url="" --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate $(ARGS)

test: a-whole-clone .venv/.test  ## verify everything: package, chapters, labs, set-up
	@$(TESTS) tests $(wildcard course solutions) $(CHAPTERS)

check: a-whole-clone .venv/.test  ## verify one stage: make check STAGE=architecture
	@test -n "$(STAGE)" || { echo "Which stage? For example: make check STAGE=architecture"; exit 2; }
	@test -n "$(wildcard tests/$(STAGE) course/*_$(STAGE))" || { echo "There is no stage $(STAGE): see the folders of course/."; exit 2; }
	@$(TESTS) --stage $(STAGE) $(wildcard tests/$(STAGE) course/*_$(STAGE) solutions/*_$(STAGE)) tests/course/test_labs.py $(CHAPTERS)

test-all: a-whole-clone .venv/.test  ## everything, and the slow tests as well
	@$(TESTS) -m "" --timeout 3600 tests $(wildcard course solutions) $(CHAPTERS)

lifecycle: .venv/.lab  ## the nine stages in a row, with what each gained
	@.venv/bin/minimodels lifecycle $(ARGS)

notebooks: a-whole-clone .venv/.test  ## run chapters again and normalize them (NOTEBOOKS="…" some, TIMES=1 measures)
	@HF_HUB_OFFLINE=1 OMP_NUM_THREADS=2 $(RUN) minimodels.classroom.notebooks run $(if $(TIMES),--times) $(if $(FRESH),--fresh) $(NOTEBOOKS)

labs: a-whole-clone .venv/.lab  ## generate labs/ from solutions/
	@$(RUN) minimodels.classroom.release

system:  ## install what pip cannot (on Debian and its kin)
	@.ci/system

a-whole-clone:
	@test -d tests -a -d solutions || { echo "This copy of the course is for students: it has no tests and no solutions, so there is nothing to run here."; exit 2; }

clean:  ## remove caches, builds, runs and reports; keep .venv and work
	rm -rf build dist *.egg-info .cache .ruff_cache .hypothesis .import_linter_cache runs reports
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
	find . -name .ipynb_checkpoints -not -path './.venv/*' -prune -exec rm -rf {} +

.venv/bin/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed. Name one: make install PYTHON=/path/to/python3.11"; exit 1; }
	"$(PYTHON)" -m venv .venv || { rm -rf .venv; exit 1; }

.venv/.lab: pyproject.toml requirements.lock | .venv/bin/python
	@if [ -n "$(TORCH_INDEX)" ]; then $(RUN) pip install -q --extra-index-url "$(TORCH_INDEX)" -c requirements.lock torch; fi
	$(RUN) pip install -q --disable-pip-version-check -c requirements.lock -e ".[lab]"
	@touch $@

# Kernels of this .venv, in JupyterLab and VS Code, note which chapters have run.
$(KERNELS): deploy/ipython/ipython_kernel_config.py | .venv/.lab
	@mkdir -p $(@D) && cp $< $@

.venv/.test: .venv/.lab
	$(RUN) pip install -q --disable-pip-version-check -c requirements.lock -e ".[lab,test]"
	@touch $@
