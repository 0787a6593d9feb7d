# The developer's targets; `make help` lists them.
PYTHON ?= python3
KAFKA ?= embedded
TEMPLATE ?= template.yml
SOAK_SECONDS ?= 1800
ATTACKS ?= 20000
VENV := .venv
BIN := $(VENV)/bin
DEPENDENCIES := build/layers/dependencies/python
PACKAGE := functions/provision:layers/connector/python:layers/powertools/python
# Runs a command with the variables of .env, as Serverless Devs reads this file; reports misspelt variables first.
WITH_VARIABLES = $(BIN)/python -m deployment run --
RELEASE = --template $(TEMPLATE) $(if $(ACCESS),--access $(ACCESS)) $(if $(ONLY),--only $(ONLY)) $(if $(filter 1,$(YES)),--yes)
# Installs the packages of a lock file and no others: pip searches the index neither for a pin's dependencies nor for its
# build requirements (requirements-build.txt pins these). `pip check` then reports missing packages.
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) --quiet install --require-hashes --no-deps --no-build-isolation --use-pep517
# An install first removes all stamps, and at its end writes the stamps of the locks that are installed. So an environment
# without a stamp is the rest of an interrupted install, and is created again, unless it is new. It is also created again if
# the stamp of the target exists but is older than its lock, because the environment must hold only packages of the lock.
PREPARE = { [ -e $(VENV)/new.stamp ] || { [ -e $(VENV)/run.stamp ] && [ ! -e $@ ]; } || \
	$(BIN)/python -m venv --clear $(VENV); } && rm -f $(VENV)/*.stamp

.DEFAULT_GOAL := help
# Two targets may install into one environment, so targets run one after the other.
.NOTPARALLEL:
.PHONY: help run test quick soak mutants lint format docs docs-check layers deploy remove bootstrap requirements clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/run.stamp $(DEPENDENCIES)/.stamp ## show the main job on the local cloud (KAFKA=apache or KAFKA=host:port for another broker)
	@exec $(BIN)/python -m local_emulator demo --kafka $(KAFKA)

test: $(VENV)/dev.stamp $(DEPENDENCIES)/.stamp ## run all tests, and the quick tests on each other installed Python from 3.10 to 3.13
	@exec $(BIN)/python -m tests.run

quick: $(VENV)/dev.stamp ## run the tests that need no Kafka, JVM or server (about a minute)
	@exec $(BIN)/python -m tests.run --quick

soak: $(VENV)/dev.stamp ## deliver under random faults for half an hour (SOAK_SECONDS), and attack with many more interleavings (ATTACKS)
	@exec env SOAK_SECONDS=$(SOAK_SECONDS) ATTACKS=$(ATTACKS) $(BIN)/python -m tests.run --alone -s --show-capture=no \
		tests/faults/test_soak.py tests/property/test_exactly_once.py --timeout 0

mutants: $(VENV)/mutants.stamp ## change the code that decides about records, and list the changes that no test notices (MODULES=maxcompute_sink/batch.py)
	@exec $(BIN)/python -m tests.mutants $(MODULES)

lint: $(VENV)/dev.stamp ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy functions/provision # separately, because each function has its own index.py

format: $(VENV)/dev.stamp ## format the code in the project's style
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: $(VENV)/dev.stamp ## update the parts of the documents that are generated from the code: settings, metrics, the diagram of the floors
	@PYTHONPATH=$(PACKAGE) $(BIN)/python -m tests.documents

docs-check: $(VENV)/dev.stamp ## check the generated parts of the documents, and their links and commands
	@$(BIN)/python -m pytest -q -n 0 tests/unit/test_documents.py tests/unit/test_settings_document.py \
		tests/unit/test_security_document.py tests/unit/test_production_walk.py

layers: $(VENV)/run.stamp ## build the three layer archives into dist/ (RUNTIME=python3.10 or python3.12); reads .env
	@$(WITH_VARIABLES) $(BIN)/python layers/build.py

deploy: $(VENV)/run.stamp ## publish the layers that have changed, and deploy the functions, with your own keys (TEMPLATE, ONLY, ACCESS, YES=1)
	@$(BIN)/python -m deployment deploy $(RELEASE)

remove: $(VENV)/run.stamp ## remove the functions and the trigger; keeps table, topics and layers (TEMPLATE, ONLY, ACCESS, YES=1)
	@$(BIN)/python -m deployment remove $(RELEASE)

bootstrap: $(VENV)/run.stamp ## create the roles that the first deploy needs, with your own keys; reads .env and adds variables to it
	@PYTHONPATH=$(PACKAGE) $(WITH_VARIABLES) $(BIN)/python -m provisioning bootstrap

requirements: $(VENV)/dev.stamp ## pin the newest versions of requirements*.in, with hashes
	@# Without --no-strip-extras a lock has "coverage" for "coverage[toml]", and old versions of pip refuse it.
	@for file in layers/dependencies/requirements requirements requirements-dev requirements-mutants requirements-build; do \
		$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.10 --generate-hashes --no-strip-extras \
			--no-emit-index-url --no-header --no-annotate $$file.in --output-file $$file.txt || exit 1; done

clean: ## remove everything that was built or installed in this folder
	rm -rf $(VENV) .venv-* build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed; $(PYTHON) is older. Name another one: make PYTHON=python3.12 run" >&2; exit 1; }
	@echo "Setting up $(VENV) (once) ..."
	@{ $(PYTHON) -m venv $(VENV) && touch $(VENV)/new.stamp; } || { rm -rf $(VENV); echo "Cannot create a virtual environment. On Debian: apt-get install python3-venv" >&2; exit 1; }

# An environment that is a symbolic link belongs to somebody else, and is used as it is.
ifeq ($(shell [ -L $(VENV) ] && echo linked),linked)
$(VENV)/run.stamp $(VENV)/dev.stamp $(VENV)/mutants.stamp: ;
else
$(VENV)/run.stamp: requirements.txt requirements-build.txt | $(BIN)/python
	@$(PREPARE)
	@echo "Installing the local cloud's packages into $(VENV) (once, about a minute) ..."
	@$(INSTALL) -r requirements-build.txt
	@$(INSTALL) -r requirements.txt
	@$(PIP) check
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt requirements-build.txt | $(BIN)/python
	@$(PREPARE)
	@echo "Installing the tests' packages into $(VENV) (once, about two minutes) ..."
	@$(INSTALL) -r requirements-build.txt
	@$(INSTALL) -r requirements-dev.txt
	@$(PIP) check
	@touch $@ $(VENV)/run.stamp

$(VENV)/mutants.stamp: requirements-mutants.txt $(VENV)/dev.stamp
	@rm -f $(VENV)/*.stamp
	@$(INSTALL) -r requirements-mutants.txt
	@$(PIP) check
	@touch $@ $(VENV)/dev.stamp $(VENV)/run.stamp
endif

$(DEPENDENCIES)/.stamp: layers/dependencies/requirements.txt | $(BIN)/python
	@echo "Installing the functions' dependency layer for this Python (once) ..."
	@rm -rf $(DEPENDENCIES)
	@# Two wheels have a folder bin: pip warns of the second folder, or, with --upgrade, replaces the first by it. A layer
	@# needs neither, because no command of a layer is run.
	@$(INSTALL) --upgrade --no-compile --target $(DEPENDENCIES) -r layers/dependencies/requirements.txt
	@rm -rf $(DEPENDENCIES)/bin
	@$(BIN)/python -m compileall -q -j 0 $(DEPENDENCIES) >/dev/null 2>&1 || true
	@touch $@
