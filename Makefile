# Everything a person types. What is set up once leaves a stamp in .venv: a second call is instant.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE := tests/gateway/node/node_modules
UV = $(or $(wildcard $(BIN)/uv),uv)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes
INSTALL := PYTHON="$(PYTHON)" sh deploy/local/install.sh

.DEFAULT_GOAL := help
.PHONY: help demo run test chaos bench lint lock clean servers private-servers browser wrk

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.local servers ## stream one lookup twice, a miss and a hit, then stop
	@$(BIN)/python -m deploy.local demo

run: $(VENV)/.local servers ## the whole stack in the foreground, until Ctrl-C
	@$(BIN)/python -m deploy.local run

# SEED=random, or a number, has them run in an order of its own.
test: $(VENV)/.dev private-servers browser $(NODE)/.installed ## every test: real broker, real Redis, real browser
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile \
		$(if $(SEED),-p randomly $(if $(filter-out random,$(SEED)),--randomly-seed=$(SEED)),-p no:randomly)

chaos: $(VENV)/.dev private-servers ## every fault in turn, three times, under up to 2,000 lookups each
	CHAOS_LOOKUPS=$(or $(CHAOS_LOOKUPS),2000) CHAOS_ROUNDS=$(or $(CHAOS_ROUNDS),3) \
		$(BIN)/python -m pytest tests/chaos

# A whole run takes about forty minutes. BENCH_QUICK=1 makes it a few minutes, whose figures mean nothing.
bench: $(VENV)/.bench private-servers wrk ## the benchmarks, each a ratio against a yardstick of the same run
	@$(BIN)/python -m tests.bench

lint: $(VENV)/.dev ## linters, types and the import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	sh -n deploy/local/install.sh
	bash -n .ci/run

lock: $(VENV)/.dev ## resolve the dependencies of pyproject.toml anew (needs uv)
	@command -v $(UV) >/dev/null || { echo "make lock needs uv: pip install uv"; exit 1; }
	$(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 --extra local --output-file requirements.lock pyproject.toml
	$(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 --extra local --extra dev --constraint requirements.lock \
		--output-file requirements-dev.lock pyproject.toml
	$(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 --extra local --extra dev --extra bench \
		--constraint requirements-dev.lock --output-file requirements-bench.lock pyproject.toml

clean: ## remove the virtual environment, the local data and the caches
	rm -rf $(VENV) .run .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

servers:
	@$(INSTALL) rabbitmq redis

private-servers:
	@$(INSTALL) --private rabbitmq redis

browser:
	@$(INSTALL) chromium

wrk:
	@$(INSTALL) wrk

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "consulta needs Python 3.11 or newer; name one with: make PYTHON=python3.12 …"; exit 1; }
	@$(INSTALL) venv
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.local: requirements.lock | $(VENV)/.created
	$(PIP) -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock | $(VENV)/.created
	$(PIP) -r requirements-dev.lock
	@touch $@ $(VENV)/.local

$(VENV)/.bench: requirements-bench.lock | $(VENV)/.created
	$(PIP) -r requirements-bench.lock
	@touch $@ $(VENV)/.dev $(VENV)/.local

$(NODE)/.installed: tests/gateway/node/package-lock.json
	@$(INSTALL) node
	npm ci --prefix tests/gateway/node --silent --ignore-scripts --no-audit --no-fund
	@touch $@
