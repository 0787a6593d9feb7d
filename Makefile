# One place for what a developer does; `make help` lists it.
PYTHON ?= python3
KAFKA ?= embedded
SOAK_SECONDS ?= 1800
ATTACKS ?= 20000
VENV := .venv
BIN := $(VENV)/bin
DEPENDENCIES := build/layers/dependencies/python
PACKAGE := functions/provision:layers/connector/python:layers/powertools/python
# Installs what a lock names and nothing else: no pip looks for a requirement in the index, neither for what a pin
# depends on nor for what builds it; requirements-build.txt has the latter. `pip check` then says what is missing.
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) --quiet install --require-hashes --no-deps --no-build-isolation --use-pep517
# Before an install every stamp goes, and afterwards those come that are true. So an environment without one is what an
# interrupted install has left, and is created again, unless it is new. It is created again for other pins, too: then
# the stamp of this target is there, but older than its lock, and the environment is to hold nothing that the lock doesn't
# name. An environment that is linked in belongs to somebody else.
PREPARE = [ -L $(VENV) ] || { [ -e $(VENV)/new.stamp ] || { [ -e $(VENV)/run.stamp ] && [ ! -e $@ ]; } || \
	$(BIN)/python -m venv --clear $(VENV); } && { [ -L $(VENV) ] || rm -f $(VENV)/*.stamp; }

.DEFAULT_GOAL := help
# Two targets may install into one environment.
.NOTPARALLEL:
.PHONY: help run test quick soak mutants lint format docs docs-check layers bootstrap requirements clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/run.stamp $(DEPENDENCIES)/.stamp ## show the main job on a local cloud (KAFKA=apache or KAFKA=host:port for another broker)
	@exec $(BIN)/python -m local_emulator demo --kafka $(KAFKA)

test: $(VENV)/dev.stamp $(DEPENDENCIES)/.stamp ## run all tests, and the quick ones on each other Python from 3.10 to 3.13 here
	@exec $(BIN)/python -m tests.run

quick: $(VENV)/dev.stamp ## run the tests that need no Kafka, JVM or server (about a minute)
	@exec $(BIN)/python -m tests.run --quick

soak: $(VENV)/dev.stamp ## deliver under random faults for half an hour (SOAK_SECONDS), and attack with many more interleavings (ATTACKS)
	@exec env SOAK_SECONDS=$(SOAK_SECONDS) ATTACKS=$(ATTACKS) $(BIN)/python -m tests.run --alone -s --show-capture=no \
		tests/faults/test_soak.py tests/property/test_exactly_once.py --timeout 0

mutants: $(VENV)/mutants.stamp ## change the code that decides about records, and see whether a test notices (MODULES=maxcompute_sink/batch.py)
	@exec $(BIN)/python -m tests.mutants $(MODULES)

lint: $(VENV)/dev.stamp ## check style, types and the rules of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy functions/provision # by itself, for each function has its own index.py

format: $(VENV)/dev.stamp ## put the code into the project's style
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: $(VENV)/dev.stamp ## make anew what the documents show of the code: settings, metrics, the picture of the floors
	@PYTHONPATH=$(PACKAGE) $(BIN)/python -m tests.documents

docs-check: $(VENV)/dev.stamp ## check what `make docs` makes, and the documents' links and commands
	@$(BIN)/python -m pytest -q -n 0 tests/unit/test_documents.py tests/unit/test_settings_document.py \
		tests/unit/test_security_document.py tests/unit/test_production_walk.py

layers: $(VENV)/run.stamp ## build the three layer archives into dist/ (RUNTIME=python3.10 or python3.12)
	$(BIN)/python layers/build.py $(RUNTIME)

bootstrap: $(VENV)/run.stamp ## make the roles that the first deploy needs, with your own keys; reads .env and adds to it
	@exported=$$(export -p); set -a; [ ! -f .env ] || . ./.env; set +a; eval "$$exported"; PYTHONPATH=$(PACKAGE) $(BIN)/python -m provisioning bootstrap

requirements: $(VENV)/dev.stamp ## pin the newest versions of requirements*.in, with hashes
	@# Without --no-strip-extras a lock has "coverage" for "coverage[toml]", and old versions of pip refuse it.
	@for file in layers/dependencies/requirements requirements requirements-dev requirements-mutants requirements-build; do \
		$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.10 --generate-hashes --no-strip-extras \
			--no-emit-index-url --no-header --no-annotate $$file.in --output-file $$file.txt || exit 1; done

clean: ## remove everything that was built or installed here
	rm -rf $(VENV) .venv-* build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed; $(PYTHON) is older. Name another one: make PYTHON=python3.12 run" >&2; exit 1; }
	@echo "Setting up $(VENV) (once) ..."
	@{ $(PYTHON) -m venv $(VENV) && touch $(VENV)/new.stamp; } || { rm -rf $(VENV); echo "Cannot make a virtual environment. On Debian: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/run.stamp: requirements.txt requirements-build.txt | $(BIN)/python
	@$(PREPARE)
	@echo "Installing what the local cloud needs into $(VENV) (once, about a minute) ..."
	@$(INSTALL) -r requirements-build.txt
	@$(INSTALL) -r requirements.txt
	@$(PIP) check
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt requirements-build.txt | $(BIN)/python
	@$(PREPARE)
	@echo "Installing what the tests need into $(VENV) (once, about two minutes) ..."
	@$(INSTALL) -r requirements-build.txt
	@$(INSTALL) -r requirements-dev.txt
	@$(PIP) check
	@touch $@ $(VENV)/run.stamp

$(VENV)/mutants.stamp: requirements-mutants.txt $(VENV)/dev.stamp
	@[ -L $(VENV) ] || rm -f $(VENV)/*.stamp
	@$(INSTALL) -r requirements-mutants.txt
	@$(PIP) check
	@touch $@ $(VENV)/dev.stamp $(VENV)/run.stamp

$(DEPENDENCIES)/.stamp: layers/dependencies/requirements.txt | $(BIN)/python
	@echo "Installing the functions' dependency layer for this Python (once) ..."
	@rm -rf $(DEPENDENCIES)
	@# Two wheels bring a folder bin: pip warns of the second one, or, with --upgrade, lets it replace the first. A layer
	@# needs neither, for nothing in it is run as a command.
	@$(INSTALL) --upgrade --no-compile --target $(DEPENDENCIES) -r layers/dependencies/requirements.txt
	@rm -rf $(DEPENDENCIES)/bin
	@$(BIN)/python -m compileall -q -j 0 $(DEPENDENCIES) >/dev/null 2>&1 || true
	@touch $@
