# Everything runs in .venv, which scripts/environment.sh makes with $(PYTHON) and keeps up to date with pyproject.toml.
PYTHON ?= python3
export PYTHON
RUN := .venv/bin/python -m

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs binder-pins picture lab notebook bench bench-view bench-peers bench-clusters bench-scale soak clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /make \1: /p' Makefile

demo: ## run the quickstart notebook without a browser; its page is demo-output/quickstart.html
	@scripts/environment.sh demo
	.venv/bin/python scripts/demo.py

test: ## run all tests; they compare the notebooks' outputs with a cold and a warm store
	@scripts/environment.sh dev
	$(RUN) pytest -n auto --maxprocesses 8 -m "not kernel and not browser and not cluster" fanlab tests
	$(RUN) pytest -m cluster tests
	$(RUN) pytest -n auto --maxprocesses 4 --dist worksteal -m kernel tests
	$(RUN) pytest -n auto --maxprocesses 4 --dist worksteal -m browser tests/browser

lint: ## check style, types and the import rule
	@scripts/environment.sh lint
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) mypy tests/typing
	.venv/bin/lint-imports

docs: ## build the documentation to site/, with warnings as errors
	@scripts/environment.sh docs
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict --quiet
	@echo "the documentation is in site/index.html"

binder-pins: ## choose the versions of the Binder image anew
	@scripts/environment.sh binder
	.venv/bin/python scripts/binder_pins.py

picture: ## take the README's picture anew, in a real JupyterLab
	@scripts/environment.sh dev
	.venv/bin/python scripts/picture.py

bench: ## measure fanlab against joblib; writes benchmarks/results
	@scripts/environment.sh dev
	.venv/bin/python benchmarks/bench.py
	.venv/bin/python scripts/readme.py

bench-view: ## measure what the live view costs, in a JupyterLab with a browser
	@scripts/environment.sh dev
	.venv/bin/python benchmarks/view.py

bench-peers: ## measure the same work in other tools, each in an environment of its own
	@scripts/environment.sh dev
	.venv/bin/python benchmarks/peers/run.py
	.venv/bin/python scripts/readme.py

bench-clusters: ## measure fanlab on local Dask and Ray clusters against the engines' own ways
	@scripts/environment.sh dev
	.venv/bin/python benchmarks/clusters.py

bench-scale: ## measure how many branches one machine can do, and what each of them costs
	@scripts/environment.sh dev
	.venv/bin/python benchmarks/scale.py

soak: ## run mixed work with random faults on a local Dask cluster for 15 minutes; nothing may grow
	@scripts/environment.sh dev
	.venv/bin/python benchmarks/soak.py --minutes 15

lab: ## open the quickstart notebook in JupyterLab
	@scripts/environment.sh lab
	$(RUN) jupyterlab notebooks/quickstart.ipynb

notebook: ## run the notebooks again and save their outputs
	@scripts/environment.sh dev
	store=$$(mktemp -d) && trap 'rm -rf "$$store"' EXIT && export FANLAB_STORE="$$store" && \
	$(RUN) nbconvert --log-level=WARN --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False \
	    --ExecutePreprocessor.store_widget_state=False notebooks/*.ipynb

clean: ## remove .venv and everything that was made by running things
	rm -rf .venv .venv-base .venv-base.lock .venv-peers demo-output site .fanlab notebooks/.fanlab .*_cache
