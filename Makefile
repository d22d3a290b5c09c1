# Mailriver. `make` lists the targets. Every target sets up what it needs by itself; what is there is not made again.

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .make

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

step = @printf '%s\n' "[mailriver] $(1)" >&2

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: setup ## Send a newsletter through everything on this machine, and prove the result (ARGS='--recipients 10000')
	@$(BIN)/mailriver demo $(ARGS)

.PHONY: up
up: setup ## Run everything on this machine until Ctrl-C
	@$(BIN)/mailriver up $(ARGS)

.PHONY: bench
bench: setup ## Measure everything on this machine, beside floors of the same run (ARGS='--runs 1 --only storage')
	@$(BIN)/mailriver bench $(ARGS)

.PHONY: test
test: check ## Run all checks and all tests (ARGS='-k name' chooses)
	$(call step,tests)
	@$(BIN)/pytest $(ARGS)

.PHONY: check
check: setup ## Check format, lint, types and layers
	$(call step,format)
	@$(BIN)/ruff format --check --quiet .
	$(call step,lint)
	@$(BIN)/ruff check --quiet .
	$(call step,types)
	@$(BIN)/mypy --no-error-summary
	$(call step,layers)
	@$(BIN)/lint-imports --no-logo

.PHONY: unit
unit: setup ## Run the tests that need no server
	@$(BIN)/pytest -m 'not integration and not e2e' $(ARGS)

.PHONY: format
format: setup ## Format the code, and mend what the linter can
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

.PHONY: lock
lock: setup ## Pin the newest versions of all dependencies, with hashes, in requirements/
	$(call step,requirements/runtime.txt)
	@$(BIN)/uv pip compile $(LOCK) --output-file requirements/runtime.txt pyproject.toml
	$(call step,requirements/dev.txt)
	@$(BIN)/uv pip compile $(LOCK) --constraint requirements/runtime.txt --extra dev --output-file requirements/dev.txt pyproject.toml

# No index address is written: each machine has its own.
LOCK := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header

.PHONY: clean
clean: ## Remove what was made here (not the cache in ~/.cache/mailriver)
	@rm -rf $(VENV) $(STAMPS) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: setup
setup: $(STAMPS)/project $(STAMPS)/kafka ## Set up what the other targets need: packages and Kafka's jars

# A stamp is made anew when what it depends on changes. Without a virtual environment the others are void too.
ifeq ($(wildcard $(BIN)/python),)
.PHONY: $(STAMPS)/venv
endif

# What only the machine's owner can install: all that is missing at once, before anything is fetched.
$(STAMPS)/machine: | $(STAMPS)
	@missing() { printf '%s\n' "mailriver: $$1" >&2; faults=1; }; faults=; \
	if ! command -v $(PYTHON) >/dev/null; then missing 'no $(PYTHON): install Python 3.11 or later, e.g. apt-get install python3'; \
	elif ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then missing '$(PYTHON) is older than 3.11: make PYTHON=python3.12'; \
	elif ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then missing '$(PYTHON) has no venv: e.g. apt-get install python3-venv'; fi; \
	command -v "$${JAVA_HOME:+$$JAVA_HOME/bin/}java" >/dev/null \
	  || missing 'no Java: install a Java runtime 17 or later, e.g. apt-get install openjdk-17-jre-headless'; \
	command -v mvn >/dev/null || missing 'no Maven: install it, e.g. apt-get install maven'; \
	[ -z "$$faults" ]
	@touch $@

$(STAMPS)/venv: $(STAMPS)/machine
	$(call step,virtual environment in $(VENV))
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(STAMPS)/packages: requirements/dev.txt $(STAMPS)/venv
	$(call step,Python packages)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	@touch $@

$(STAMPS)/project: pyproject.toml $(STAMPS)/packages
	$(call step,Mailriver itself)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMPS)/kafka: services/sandbox/kafka-pom.xml $(STAMPS)/project
	$(call step,Apache Kafka)
	@$(BIN)/python -m services.sandbox.maven $<
	@touch $@

$(STAMPS):
	@mkdir -p $@
