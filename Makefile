# The commands of the project. `make` alone lists them.

PYTHON ?= python3
TOOL := .tool
UV := $(shell command -v uv 2>/dev/null || echo $(TOOL)/bin/uv)
RUN := $(UV) run --locked --all-extras

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test test-browser test-long screenshots check format bench bench-peers docs clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(TOOL)/bin/uv:
	@$(PYTHON) -m venv $(TOOL)
	@$(TOOL)/bin/pip install --quiet --disable-pip-version-check 'uv>=0.5'

.venv/.ready: pyproject.toml uv.lock
	@if [ ! -x "$(UV)" ]; then $(MAKE) --no-print-directory $(TOOL)/bin/uv; fi
	@$(UV) sync --quiet --locked --all-extras
	@touch $@

setup: .venv/.ready ## make the environment (every other command does it by itself)

demo: setup ## see the main job end to end, on a server of its own
	@$(RUN) purvey demo

serve: setup ## run the server on http://127.0.0.1:8000
	@$(RUN) purvey serve

test: setup ## run the tests; PURVEY_TEST_THOROUGH=1 dies at every step and tries every odd input
	@$(RUN) pytest -n 2 --dist worksteal

test-browser: setup ## run the browser tests; they need Chromium at /usr/bin/chromium
	@$(RUN) pytest tests/browser

SHOTS ?= /tmp/purvey-screenshots

screenshots: setup ## photograph every page and mail into SHOTS (/tmp/purvey-screenshots); needs Chromium too
	@PYTHONPATH=tests $(RUN) python -m browser.screenshots $(SHOTS)

PAID := orders payments refunds disputes evidence deadlines stock

test-stripe: setup ## tell the stories of orders, refunds and disputes again, with Stripe (a stand-in) in the sandbox's place
	@PURVEY_PAYMENTS=stripe $(RUN) pytest -n 2 --dist worksteal $(PAID:%=tests/story/test_%.py)

test-package: setup ## build the package, install it elsewhere, and use it
	@$(RUN) pytest tests/package

test-long: setup ## random deaths and random requests, PURVEY_TEST_SCALE x 10 minutes each (1.0); PURVEY_TEST_SEED repeats a run
	@$(RUN) pytest tests/long -v

check: setup ## format, lint, types, imports
	@$(RUN) ruff format --check
	@$(RUN) ruff check
	@$(RUN) mypy src tests bench
	@$(RUN) lint-imports

format: setup ## put the sources in shape
	@$(RUN) ruff format
	@$(RUN) ruff check --fix

bench: setup ## measure
	@$(RUN) python -m bench

PEERS ?= /tmp/purvey-peers

bench-peers: setup ## measure Celery, pgqueuer and BullMQ like our webhooks, installed into PEERS (/tmp/purvey-peers); needs node, npm, redis
	@$(RUN) python -m bench.peers $(PEERS)

docs: setup ## print what is generated: docs/states.md, docs/settings.md
	@$(RUN) python -m tests.house.print_states
	@$(RUN) python -m tests.house.print_settings

clean: ## remove what the commands have made
	@rm -rf .venv $(TOOL) .mypy_cache .ruff_cache .pytest_cache .hypothesis
