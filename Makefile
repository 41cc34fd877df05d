# Every target makes the virtual environment it needs; nothing else has to be installed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The tested pins; `make CONSTRAINTS=` installs the newest releases that pyproject.toml allows.
CONSTRAINTS ?= -c constraints.txt
DEMO_DIR ?= runs/demo

.DEFAULT_GOAL := help
.PHONY: help install demo model docs test test-lowest test-engines test-integrations test-versions test-page check style clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.dev ## Make the virtual environment and install the package for development

demo: $(VENV)/.demo ## Train on real reviews, then classify a few through transformers.pipeline
	$(BIN)/python scripts/demo.py --output_dir '$(DEMO_DIR)'

model: $(VENV)/.teacher ## From reviews in ../shared/data to a model in runs/pass3: hours; resumes
	$(BIN)/python scripts/model.py

docs: $(VENV)/.dev ## Render README, docs/ and the card from their templates and committed results
	$(BIN)/python scripts/docs.py

test: $(VENV)/.dev tests/javascript/node_modules ## Run the whole test suite
	$(BIN)/python -m pytest -n auto --dist loadfile

test-lowest: ## The same with the lowest versions that pyproject.toml allows, in .venv-lowest
	$(MAKE) VENV=.venv-lowest CONSTRAINTS="-c constraints-lowest.txt" .venv-lowest/.demo,test tests/javascript/node_modules
	.venv-lowest/bin/python -m pytest -n auto --dist loadfile

test-engines: ## Test Ray and Spark, in .venv-engines, since they take much room; Spark takes Java
	$(MAKE) VENV=.venv-engines .venv-engines/.ray,spark,test
	.venv-engines/bin/python -m pytest tests/engines
	# Apart: the Java that Spark starts once for a process stays in the folder where it was started.
	.venv-engines/bin/python -m pytest "tests/documents/test_documents.py::test_every_block_of_a_document_runs[docs/cluster.md]"

# What the pages need is in no other environment: see NEEDS of tests/documents/blocks.py.
INTEGRATIONS := mlflow quantize serve shap tensorboard
test-integrations: ## Test the pages about other libraries and the notebook, in .venv-integrations
	$(MAKE) VENV=.venv-integrations .venv-integrations/.integrations
	.venv-integrations/bin/python -m pytest tests/integrations $(INTEGRATIONS:%="tests/documents/test_documents.py::test_every_block_of_a_document_runs[docs/%.md]")

test-versions: $(VENV)/.dev .venv-versions/4.57 .venv-versions/5.0 ## Load a model folder in older transformers, in environments of their own
	$(BIN)/python -m pytest tests/versions

.venv-versions/%: tests/versions/%.txt
	$(PYTHON) -m venv $@
	echo '*' > .venv-versions/.gitignore
	$@/bin/python -m pip install -q -r $< || { rm -rf $@; exit 1; }
	touch $@

test-page: ## Test the pages in a browser, in .venv-page; apt-get installs chromium and npm, if none is there
	command -v chromium || command -v google-chrome || apt-get install -y chromium
	command -v npm || apt-get install -y npm
	$(MAKE) VENV=.venv-page .venv-page/.browser
	.venv-page/bin/python -m pytest tests/page

check: $(VENV)/.dev ## Lint, check formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

style: $(VENV)/.dev ## Repair what the linter and the formatter can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What JavaScript reads of our files is tested in Node, where there is one.
tests/javascript/node_modules: tests/javascript/package-lock.json
	if command -v npm > /dev/null; then npm ci --silent --prefix tests/javascript && touch $@; fi

clean: ## Remove the virtual environments, caches and build outputs (not runs/)
	rm -rf $(VENV) .venv-lowest .venv-engines .venv-integrations .venv-page .venv-versions build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis tests/javascript/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	echo '*' > $(VENV)/.gitignore  # as Python 3.13 does by itself

# One for each extra of pyproject.toml, or several with commas between, that a target needs.
$(VENV)/.%: pyproject.toml $(wildcard constraints*.txt) | $(VENV)/bin/python
	$(BIN)/python -m pip install -q $(CONSTRAINTS) -e ".[$*]"
	touch $@
