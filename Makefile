# Kinolex: `make serve` runs it, `make test` checks it. `make` alone lists the rest.

PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000
# Address of a wheel index to take torch and torchvision from: PyTorch's CPU index gives an
# installation without the several GB of CUDA libraries. Empty: your ordinary index.
TORCH_INDEX_URL ?=
# More options for pytest, as in `make test TEST=tests/model/video/test_video.py` or `make test PYTEST="-k labels"`;
# PYTEST="-n 0" runs everything in one process, which a debugger needs.
TEST ?=
PYTEST ?=
# Options of a benchmark, as in `make bench-training BENCH="--threads 1"`.
BENCH ?=
# Options of docker/build-with-buildah.sh, as in `make image IMAGE=--debootstrap`.
IMAGE ?=
# Options of `python -m benchmarks`, as in `make bench BENCH=--quick`.
BENCH ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --constraint constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## list what can be made
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | sort | expand -t 20

.PHONY: serve
serve: $(VENV)/.serves ## install what is needed and serve on 127.0.0.1, port 8000 or PORT=...
	$(BIN)/kinolex serve --port $(PORT)

.PHONY: test
test: $(VENV)/.tests ## run the whole test suite
	$(BIN)/python -m pytest --numprocesses auto $(PYTEST) $(TEST)

.PHONY: lint
lint: $(VENV)/.tests ## check format, lint, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(VENV)/.tests ## rewrite the code in the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: bench
bench: $(VENV)/.benches ## measure against the bound and against rivals, about 20 minutes
	$(BIN)/python -m benchmarks $(BENCH)

.PHONY: bench-rivals
bench-rivals: $(VENV)/.benches ## the service and its rivals with 1, 2, 4 and 16 clients each, half an hour
	$(BIN)/python -m benchmarks.every_load $(BENCH)

.PHONY: soak
soak: $(VENV)/.benches ## four times more requests than can be answered, for two minutes
	$(BIN)/python -m benchmarks.soak $(BENCH)

.PHONY: bench-examples
bench-examples: $(VENV)/.tests ## measure what examples add to a label's words; needs ../shared
	$(BIN)/python -m benchmarks.teach_by_example $(BENCH)

.PHONY: bench-segments
bench-segments: $(VENV)/.benches ## find actions in films joined from real clips; needs ../shared
	$(BIN)/python -m benchmarks.segments ../shared/data/videos $(BENCH)

.PHONY: bench-labels
bench-labels: $(VENV)/.tests $(VENV)/.benches ## measure the labels: a million of them, 5 kills; half an hour
	$(BIN)/python -m benchmarks.labels $(BENCH)

.PHONY: chaos
chaos: $(VENV)/.tests $(VENV)/.benches ## kill the server 100 times while labels are written
	$(BIN)/python -m benchmarks.labels --only kills --kills 100

.PHONY: constraints
constraints: ## write constraints.txt anew from a clean environment with the newest versions
	.ci/constraints $(PYTHON)

.PHONY: bench-training
bench-training: $(VENV)/.tests ## measure whether training waits for its data; BENCH="--rounds 1" passes options
	$(BIN)/python -m benchmarks.training_throughput $(BENCH)

.PHONY: image
image: ## build the cpu image with buildah and wait until it is ready (as root, no Docker needed)
	docker/build-with-buildah.sh --check $(IMAGE)

.PHONY: clean
clean: ## remove the environment and the caches, never your data
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Kinolex needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The stamps: while neither file changes, a second `make serve` starts at once.
$(VENV)/.serves: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(if $(TORCH_INDEX_URL),$(INSTALL) --no-deps --index-url $(TORCH_INDEX_URL) torch torchvision)
	$(INSTALL) --editable '.[openvino]'
	@touch $@

$(VENV)/.tests: $(VENV)/.serves
	$(INSTALL) --editable '.[dev,otel,train,postgres,tensorboard]'
	@touch $@

$(VENV)/.benches: $(VENV)/.serves
	$(INSTALL) --editable '.[bench]'
	@# runs only beside some builds of torch: what is missing is reported as missing
	-$(INSTALL) torchcodec
	@touch $@
