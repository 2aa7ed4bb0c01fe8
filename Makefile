# The few commands that people need. `make demo` and `make test` set up all they use.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test unit lint images soak lab-up lab-down benchmark benchmark-agents benchmark-growth benchmark-survey

help:
	@echo 'make demo       bring up the lab and regenerate its whole site, step by step'
	@echo 'make test       all tests: style, types, unit tests, end-to-end tests in the lab'
	@echo 'make unit       the unit tests alone, in seconds and without containers'
	@echo 'make soak       random kills and thousands of agents: KILLS=200 MINUTES=120 AGENTS=4000'
	@echo 'make lab-up     start the lab (python3 -m lab for more)'
	@echo 'make lab-down   remove its containers'
	@echo 'make benchmark  the typed commands against the deploy and a bare restart, five rounds'
	@echo 'make benchmark-agents  step 6: the deploy against Ansible and a loop over ssh'
	@echo 'make benchmark-growth  step 6: what 100, 1000 and 4000 agents cost this machine'
	@echo 'make benchmark-survey  how long a survey of 200 hosts takes'

$(BIN)/run-ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
# pyinfra keeps Python from writing down what it has compiled, so that each run would do it anew.
	$(BIN)/python -m compileall -q connectors deploys facts inventories operations procedures recert
	touch $@

$(BIN)/test-ready: requirements-dev.lock $(BIN)/run-ready
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	touch $@

$(BIN)/ansible-ready: benchmarks/requirements.txt $(BIN)/run-ready
	$(BIN)/pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	touch $@

demo: $(BIN)/run-ready
	$(BIN)/python -m lab.demo

# What can be checked without the lab goes on while its images are made.
test: $(BIN)/test-ready
	$(MAKE) --no-print-directory -j2 images lint unit
	$(BIN)/python -m pytest tests/e2e tests/attacks -n 2 --dist loadfile --no-loadscope-reorder

images:
	$(PYTHON) -m lab images

unit: $(BIN)/test-ready
	$(BIN)/python -m pytest tests/unit -n auto

lint: $(BIN)/test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# KILLS, MINUTES and AGENTS: how many, and how long at most.
soak: $(BIN)/test-ready
	$(BIN)/python -m tests.soak kills --number $(or $(KILLS),200) --minutes $(or $(MINUTES),120)
	$(BIN)/python -m tests.soak agents --number $(or $(AGENTS),4000)

lab-up:
	$(PYTHON) -m lab up

lab-down:
	$(PYTHON) -m lab down

benchmark: $(BIN)/run-ready
	$(BIN)/python -m benchmarks.outage

benchmark-agents: $(BIN)/ansible-ready
	$(BIN)/python -m benchmarks.agents

benchmark-growth: $(BIN)/run-ready
	$(BIN)/python -m benchmarks.growth

benchmark-survey: $(BIN)/run-ready
	$(BIN)/python -m benchmarks.survey
