# Two commands do everything: `make run` and `make test`. Both set up their own environment in .venv on first use.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Everything but the numerics of CI's machine is the same with more workers; two test workers need about 6 GB.
PYTEST_WORKERS ?= 2

.PHONY: run test lint smoke clean
.DEFAULT_GOAL := run

run: $(VENV)/.installed ## Prepare the embedded synthetic dataset, train the CNN on it, evaluate, print the table
	$(BIN)/python -m experiments.prepare --dataset=synthetic
	$(BIN)/python -m experiments.run --model=cnn --dataset=synthetic --batch_size=32 --epochs=5 --bn_momentum=0.9

test: $(VENV)/.installed-dev ## Run every test
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed-dev ## Check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

smoke: $(VENV)/.installed ## Run the README's other commands in their smallest form
	BIN=$(BIN) sh tests/smoke.sh

clean: ## Remove the environment, prepared datasets and runs
	rm -rf $(VENV) data runs

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is `$(PYTHON) --version`; mole_jax needs Python 3.11 or newer: make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
