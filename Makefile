# Every target sets up what it needs: a bare Python 3.11, 3.12 or 3.13 and make are enough.
# Set-up is done once, and again when requirements.lock or pyproject.toml changes.
# `make test PYTHON=/path/to/python3.12` chooses the Python that the environment is made with.

VENV := .venv
RELAY_VENV := .cache/relay-venv
LOCK_VENV := .cache/lock-venv
SOURCES := nostrbot tests bench verifier
COVERAGE := .cache/coverage

# Tests wait for sockets and children: two workers a core leave no core idle. At most four.
WORKERS = $(shell $(VENV)/bin/python -c "import os; print(min(4, 2 * (os.cpu_count() or 1)))")
TEST_DAILY = -m pytest -m "not soak" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# The first of these that fits is taken: old enough, new enough, and able to make a virtual environment.
PYTHONS = $(or $(PYTHON),python3.11 python3.12 python3.13 python3)
FITS := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
find_python = for python in $(PYTHONS); do "$$python" -c '$(FITS)' >/dev/null 2>&1 && break; python=; done; \
	if [ -z "$$python" ]; then \
	  echo "nostrbot needs Python 3.11, 3.12 or 3.13 with its venv module; tried: $(PYTHONS)." >&2; \
	  echo "Debian or Ubuntu: apt-get install python3.11-venv. macOS: brew install python@3.12." >&2; \
	  echo "Or name one: make PYTHON=/path/to/python3.12" >&2; \
	  exit 1; \
	fi

# Errors only: what pip has to say about its own settings is not news about nostrbot.
PIP_INSTALL := -m pip install -qq --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test coverage soak bench lint types lock clean

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1 |\2/p' Makefile | awk -F'|' '{ printf "%-15s%s\n", $$1, $$2 }'

demo: $(VENV)/.ready ## a relay, the bot, machines and LPs on this computer; receipts, and an audit at the end
	@$(VENV)/bin/nostrbot demo

test: $(VENV)/.ready $(RELAY_VENV)/.ready ## every test but the long ones, with a third of the examples
	@$(VENV)/bin/python $(TEST_DAILY)

# Without the tests that measure time or memory, which measuring disturbs, and the simulator, which wakes every corner without
# asserting what is in it.
coverage: $(VENV)/.ready $(RELAY_VENV)/.ready ## the same, measured: fails where lines or branches of a module are not run
	@rm -rf $(COVERAGE) && mkdir -p $(COVERAGE)
	@$(VENV)/bin/python -m coverage run $(TEST_DAILY) --ignore tests/test_simulator.py --ignore tests/test_bench.py --ignore tests/fuzz/test_memory.py
	@$(VENV)/bin/python -m coverage combine --quiet
	@$(VENV)/bin/python -m coverage json --quiet -o $(COVERAGE)/figures.json
	@$(VENV)/bin/python -m tests.covered $(COVERAGE)/figures.json

soak: $(VENV)/.ready $(RELAY_VENV)/.ready ## the tests that take minutes, and all examples: SIMULATOR_SEEDS=10000 FUZZ_TIMES=50 make soak
	@EXAMPLES=all $(VENV)/bin/python -m pytest -m soak
	@EXAMPLES=all $(VENV)/bin/python -m pytest -m hypothesis --ignore tests/fuzz -n $(WORKERS)
	@EXAMPLES=all FUZZ_TIMES=$${FUZZ_TIMES:-8} $(VENV)/bin/python -m pytest tests/fuzz -n $(WORKERS)

bench: $(VENV)/.ready ## measure throughput on this computer
	@$(VENV)/bin/python -m bench

lint: $(VENV)/.ready ## ruff: rules and format
	@$(VENV)/bin/ruff check $(SOURCES)
	@$(VENV)/bin/ruff format --check $(SOURCES)

types: $(VENV)/.ready ## mypy --strict on the package
	@$(VENV)/bin/mypy --strict nostrbot

lock: $(LOCK_VENV)/.ready ## choose dependencies anew: rewrites requirements.lock
	@$(LOCK_VENV)/bin/uv pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 \
	  --extra dev --extra speed --generate-hashes --no-annotate --custom-compile-command "make lock" \
	  --output-file requirements.lock
	@echo "requirements.lock: $$(grep -c '^[a-z]' requirements.lock) packages"

clean: ## remove what the other targets made
	@rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# Two steps, so that a change of pyproject.toml alone does not install everything again.
$(VENV)/.locked: requirements.lock
	@$(find_python); \
	echo "set-up: $(VENV) with $$("$$python" --version), from requirements.lock (once; about half a minute)"; \
	"$$python" -m venv --clear $(VENV)
	@$(VENV)/bin/python $(PIP_INSTALL) --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.ready: $(VENV)/.locked pyproject.toml
	@$(VENV)/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# The second relay implementation of the tests pins other versions than ours, so it lives in an environment of its own.
$(RELAY_VENV)/.ready: tests/relay-requirements.lock
	@$(find_python); \
	echo "set-up: $(RELAY_VENV), a second relay for the tests (once; about half a minute)"; \
	"$$python" -m venv --clear $(RELAY_VENV)
	@$(RELAY_VENV)/bin/python $(PIP_INSTALL) --require-hashes -r tests/relay-requirements.lock
	@touch $@

$(LOCK_VENV)/.ready:
	@$(find_python); "$$python" -m venv --clear $(LOCK_VENV)
	@$(LOCK_VENV)/bin/python $(PIP_INSTALL) uv
	@touch $@
