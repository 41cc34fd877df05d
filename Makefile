# Every target makes the virtual environment it needs; nothing else has to be installed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The tested pins; `make CONSTRAINTS=` installs the newest releases that pyproject.toml allows.
CONSTRAINTS ?= -c constraints.txt
DEMO_DIR ?= runs/demo

.DEFAULT_GOAL := help
.PHONY: help install demo model test check style clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.dev ## Make the virtual environment and install the package for development

demo: $(VENV)/.demo ## Train on real reviews, then classify a few through transformers.pipeline
	$(BIN)/python scripts/demo.py --output_dir $(DEMO_DIR)

model: $(VENV)/.benchmark ## From reviews to the released checkpoint in runs/distilled: two and a half hours; goes on if stopped
	$(BIN)/sentiment-lstm pretrain scripts/recipes/pretrain.yaml
	$(BIN)/python scripts/teacher.py scripts/recipes/distilled.yaml --num_train_epochs 2 --once minilm
	$(BIN)/sentiment-lstm train scripts/recipes/distilled.yaml

test: $(VENV)/.dev ## Run the whole test suite
	$(BIN)/python -m pytest

check: $(VENV)/.dev ## Lint, check formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

style: $(VENV)/.dev ## Repair what the linter and the formatter can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the virtual environment, caches and build outputs (not runs/)
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# One for each extra of pyproject.toml that a target needs.
$(VENV)/.%: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q $(CONSTRAINTS) -e ".[$*]"
	touch $@
