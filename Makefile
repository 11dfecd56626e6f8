# Every target that `make` lists is supported. Recipes are one line; what needs more stands in bootstrap/.

PYTHON ?= python3
PREFIX ?= /opt/tidegate
MINUTES ?= 30
TRIES ?= 50000
IDLE ?= 1
FOLDER ?= build/life
KINDS ?= kill errors power together clock

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo run test test-all lint format bench bench-policy soak torture year life dashboard pictures page-shots race fuzz lock man install clean ruff mypy import-linter pytest pytest-slow needs-python needs-demo needs-test needs-test-all

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: needs-demo .venv/built ## Ten days in a minute: real dumps, a real rsync, one limit
	.venv/bin/python tools/demo/demo.py

run: .venv/built ## Run the service here with config.toml, its files under var/
	mkdir -p var/dumps && exec .venv/bin/tidegate watch

test: needs-test lint pytest ## Lint, and the tests that one runs while working

test-all: test needs-test-all pytest-slow ## The same, then the tests that take long or need large programs

lint: ruff mypy import-linter ## Check style, types and who may import whom

format: .venv/built ## Lay the code out and mend what ruff can mend
	.venv/bin/ruff check --fix-only --quiet . && .venv/bin/ruff format .

bench: needs-demo .venv/built ## Measure, and write docs/BENCHMARKS.md anew; at rest for IDLE=1 minutes
	.venv/bin/python -m tools.bench --idle $(IDLE)

bench-policy: needs-test .venv/built ## Simulate the policy beside others and a proven bound, and write docs/POLICY.md
	.venv/bin/python -m tools.simulation.compare

soak: needs-demo .venv/built ## Disturb the watcher for MINUTES=30 and account for every marker
	.venv/bin/python -m tools.soak --minutes $(MINUTES) --write

torture: needs-test-all .venv/built ## Cut commands off at each instant, and judge what is left (KINDS="kill errors power together clock")
	.venv/bin/python -m tools.torture --kinds $(KINDS) --write

year: needs-test .venv/built ## Drive sixty VMs through a year of the real program, beside the planner alone
	TIDEGATE_DAYS=365 .venv/bin/pytest tests/acceptance/test_year.py

life: needs-test-all .venv/built ## Two months of 200 VMs through the real program, into FOLDER=build/life, with their metrics
	.venv/bin/python -m tools.life $(FOLDER)

dashboard: .venv/built ## Make deploy/grafana/tidegate.json from its builder
	.venv/bin/python -m deploy.grafana.builder

pictures: needs-test-all .venv/built ## Draw the dashboard's panels over the life in FOLDER=build/life, into docs/dashboard/
	.venv/bin/python -m tools.pictures $(FOLDER)

page-shots: needs-test-all .venv/built ## Photograph the page over the life in FOLDER=build/life, and of 3 and 5,000 VMs, into build/page-shots/
	.venv/bin/python -m tools.page_shots $(FOLDER)

race: needs-test .venv/built ## Swap dumps for links to a secret, TRIES=50000 times each way: none may leak
	TIDEGATE_TRIES=$(TRIES) .venv/bin/pytest -s --timeout 7200 tests/export/test_race.py

fuzz: build/atheris ## Feed all that reads what others wrote, for MINUTES=30, led by what runs
	PYTHONPATH=build/atheris .venv/bin/python -m tools.fuzz --minutes $(MINUTES)

lock: needs-python ## Make the lock files fit pyproject.toml (UPGRADE=--upgrade: newest versions)
	bootstrap/lock $(PYTHON) $(UPGRADE)

man: .venv/built ## Make the manual page, build/man/tidegate.1, out of the commands' help
	mkdir -p build/man && .venv/bin/python bootstrap/manual.py > build/man/tidegate.1

install: needs-python ## Install into PREFIX=/opt/tidegate: an environment of its own, one link in bin
	bootstrap/install $(PYTHON) $(PREFIX)

clean: ## Remove what make made; var/ stays
	rm -rf .venv build .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

ruff: .venv/built
	.venv/bin/ruff check . && .venv/bin/ruff format --check .

mypy: .venv/built
	.venv/bin/mypy

import-linter: .venv/built
	.venv/bin/lint-imports --no-logo

pytest: needs-test .venv/built
	.venv/bin/pytest -n auto -m "not slow"

pytest-slow: needs-test-all .venv/built
	.venv/bin/pytest -n auto -m slow

# No dependency: a megabyte of LLVM that nothing else needs.
build/atheris: .venv/built
	.venv/bin/python -m pip --disable-pip-version-check --no-input --quiet install --target build/atheris atheris==3.0.0

.venv/built: pyproject.toml requirements-dev.lock core/version.py bootstrap/environment | needs-python
	bootstrap/environment $(PYTHON) .venv

needs-python needs-demo needs-test needs-test-all:
	@bootstrap/machine $(PYTHON) $(@:needs-%=%)
