# Kinolex: `make serve` runs it, `make test` checks it. `make` alone lists the rest.

PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000
# Checkpoint or model to serve: a folder, or a Hub id such as timm/PE-Core-S-16-384 or org/name@revision.
MODEL ?=
# Address of a wheel index to take torch and torchvision from: PyTorch's CPU index gives an
# installation without the several GB of CUDA libraries. Empty: your ordinary index.
TORCH_INDEX_URL ?=
# Tests to run and options for pytest, as in `make test TEST=tests/model/video` or
# `make test PYTEST="-k labels"`; PYTEST="-n 0" uses one process, which a debugger needs.
TEST ?=
PYTEST ?=
# Not empty: run the tests that take more than ten seconds too, as the gate does. Without it they run
# only where TEST names their file or folder.
SLOW ?=
# Options of docker/build-with-buildah.sh, as in `make image IMAGE=--debootstrap`.
IMAGE ?=
# Options of a benchmark, as in `make bench BENCH=--quick` or `make soak BENCH="--seconds 60"`.
BENCH ?=

# Checks the types of the page's modules; they run as they are.
TYPESCRIPT := 5.9.3

# Without the files that Python writes for its modules, each process that a test starts compiles the tree.
unexport PYTHONDONTWRITEBYTECODE

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --constraint constraints.txt

# Minimum share of lines outside model/training that tests run, in percent. The minimum of all
# lines is in pyproject.toml.
COVERAGE_OUTSIDE_TRAINING := 95

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | sort \
	  | awk -F '\t' '{ printf "  make %-16s %s\n", $$1, $$2 }'

.PHONY: serve
serve: $(VENV)/.serves ## install the service and run it on 127.0.0.1, port 8000 or PORT=...; MODEL=org/name serves another model
	$(BIN)/kinolex serve --port $(PORT) $(if $(MODEL),--model $(MODEL))

.PHONY: test
test: $(VENV)/.tests ## run the tests; SLOW=1 adds the slow ones, TEST=... and PYTEST=... select some
	@# no test needs a model hub; without this, some wait for one that is out of reach
	HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 \
	  $(BIN)/python -m pytest --numprocesses auto --dist worksteal $(if $(SLOW)$(TEST),,-m "not slow") $(PYTEST) $(TEST)

.PHONY: test-busy
test-busy: $(VENV)/.tests ## run `make test` ten times beside two busy loops, stop at the first failure; two hours
	.ci/busy

.PHONY: coverage
coverage: ## run `make test SLOW=1` with coverage and check its floors
	@rm -f .coverage .coverage.*
	$(MAKE) test SLOW=1 PYTEST="--cov --cov-report= $(PYTEST)"
	@rm -f .coverage.* # of processes that were killed: half a file, which the report cannot read
	$(BIN)/coverage report --omit 'model/training/*' --fail-under $(COVERAGE_OUTSIDE_TRAINING)

.PHONY: fiftyone
fiftyone: $(VENV)/.fiftyone ## install FiftyOne and MongoDB for the test that runs them; 0.8 GB

.PHONY: lint
lint: $(VENV)/.tests ## run every static check of .pre-commit-config.yaml on the whole tree
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/pre-commit run --all-files --hook-stage manual

.PHONY: format
format: $(VENV)/.tests ## format the code and apply the automatic fixes of ruff
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: docs
docs: $(VENV)/.tests ## build the documentation into site/, with every link checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo "The documentation is in site/. Read it with: $(PYTHON) -m http.server --directory site"

.PHONY: bench
bench: $(VENV)/.benches ## compare the service with a bound and with other services; 20 minutes
	$(BIN)/python -m benchmarks $(BENCH)

.PHONY: bench-rivals
bench-rivals: $(VENV)/.benches ## the same comparison with 1, 2, 4 and 16 clients for each server; 30 minutes
	$(BIN)/python -m benchmarks.speed.every_load $(BENCH)

.PHONY: soak
soak: $(VENV)/.benches ## send four times more requests than the service can answer; 2 minutes
	$(BIN)/python -m benchmarks.hostile.soak $(BENCH)

.PHONY: soak-mixed
soak-mixed: $(VENV)/.tests ## send 10,000 requests of every kind, check that memory and descriptors do not grow
	$(BIN)/python -m benchmarks.hostile.mixed $(BENCH)

.PHONY: fuzz
fuzz: $(VENV)/.tests ## decode 100,000 mutated videos in real workers; hours, less with BENCH="--count 1000"
	$(BIN)/python -m benchmarks.fuzz $(BENCH)

.PHONY: fuzz-api
fuzz-api: $(VENV)/.tests $(VENV)/.fuzzes ## ask a service what schemathesis makes of its OpenAPI document; 10 minutes
	$(BIN)/python -m benchmarks.fuzz.api $(VENV)/fuzz/bin/schemathesis $(BENCH)

.PHONY: fuzz-walkers
fuzz-walkers: $(VENV)/.tests ## mutate containers guided by coverage of their walkers, with atheris; BENCH=-runs=100000
	$(BIN)/python -m pip --disable-pip-version-check install --quiet atheris==3.1.0
	$(BIN)/python -m benchmarks.fuzz.walkers $(BENCH)

.PHONY: bench-examples
bench-examples: $(VENV)/.tests ## measure what example videos add to a label; needs ../shared
	$(BIN)/python -m benchmarks.accuracy.teach_by_example $(BENCH)

.PHONY: bench-segments
bench-segments: $(VENV)/.benches ## find actions in films that are joined from real clips; needs ../shared
	$(BIN)/python -m benchmarks.segments ../shared/data/videos $(BENCH)

.PHONY: bench-labels
bench-labels: $(VENV)/.tests $(VENV)/.benches ## measure a million labels and 5 kills of the server; 30 minutes
	$(BIN)/python -m benchmarks.labels $(BENCH)

.PHONY: bench-files
bench-files: $(VENV)/.tests $(VENV)/.benches ## ask about one clip in 26 formats, and about odd files in ../shared; needs ffmpeg
	$(BIN)/python -m benchmarks.hostile.files $(BENCH)

.PHONY: bench-archive
bench-archive: $(VENV)/.tests $(VENV)/.benches ## measure kept videos, their search and jobs, and kill the service 100 times
	$(BIN)/python -m benchmarks.archive $(BENCH)

.PHONY: chaos
chaos: $(VENV)/.tests $(VENV)/.benches ## kill the server 100 times while labels are written, check that none is lost
	$(BIN)/python -m benchmarks.labels --only kills --kills 100

.PHONY: stops
stops: $(VENV)/.tests $(VENV)/.benches ## stop the service 50 times with SIGTERM under load, check that no request is lost
	$(BIN)/python -m benchmarks.hostile.stops $(BENCH)

.PHONY: chaos-archive
chaos-archive: $(VENV)/.tests $(VENV)/.benches ## kill `kinolex archive tag` 100 times, driver or actor, and compare what it made
	$(BIN)/python -m benchmarks.archive --only tag-kills $(BENCH)

.PHONY: constraints
constraints: ## rewrite constraints.txt with the newest versions
	.ci/constraints $(PYTHON)

.PHONY: default-vectors
default-vectors: $(VENV)/.tests ## rewrite app/default_vectors.safetensors, after a change of the default labels, prompts or text model
	$(BIN)/python -m app.labels.default_vectors

.PHONY: bench-training
bench-training: $(VENV)/.tests ## measure whether training waits for its data
	$(BIN)/python -m benchmarks.checkpoints.training_throughput $(BENCH)

.PHONY: image
image: ## build and start the cpu image with buildah (as root, without Docker)
	docker/build-with-buildah.sh --check $(IMAGE)

.PHONY: sbom
sbom: $(VENV)/.serves $(VENV)/.audits ## write what serves, with versions and licences, to sbom.json (CycloneDX)
	$(BIN)/python docker/sbom.py $(VENV)/audit/bin/cyclonedx-py mcp openvino > sbom.json

.PHONY: audit
audit: $(VENV)/.audits ## ask for known vulnerabilities of the pinned versions; needs the network
	$(VENV)/audit/bin/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

.PHONY: clean
clean: ## remove the environment and the caches, but no data
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage* *.egg-info site

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Kinolex needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Stamps: an environment is installed again only when one of these two files has changed.
$(VENV)/.serves: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(if $(TORCH_INDEX_URL),$(INSTALL) --no-deps --index-url $(TORCH_INDEX_URL) torch torchvision)
	$(INSTALL) --editable '.[encoders,mcp,openvino]'
	@touch $@

$(VENV)/.tests: $(VENV)/.serves $(VENV)/.generator $(VENV)/.label-studio | $(VENV)/.typescript
	$(INSTALL) --editable '.[archive,dev,docs,mteb,otel,train,postgres,tensorboard]'
	@touch $@

# An environment of its own: the generator of clients holds other packages back.
$(VENV)/.generator: client/generator.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/generator
	$(VENV)/generator/bin/python -m pip --disable-pip-version-check install --requirement $<
	@touch $@

# Another one, for the same reason.
$(VENV)/.label-studio: client/label-studio.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/label-studio
	$(VENV)/label-studio/bin/python -m pip --disable-pip-version-check install --requirement $<
	@touch $@

# For one test, and large: the gate makes it, `make test` does not. It does not wait for the environment
# that it is in, which the gate makes at the same time.
$(VENV)/.fiftyone: client/fiftyone.txt
	$(PYTHON) -m venv $(VENV)/fiftyone
	@# compiling its modules takes a third of the time; Python compiles those that it imports
	$(VENV)/fiftyone/bin/python -m pip --disable-pip-version-check install --no-deps --no-compile --requirement $<
	@touch $@

$(VENV)/.typescript: | $(VENV)/bin/python
	@if npm install --silent --no-audit --no-fund --prefix $(VENV)/typescript typescript@$(TYPESCRIPT); \
	  then touch $@; else echo "without npm the types of the page are not checked"; fi

# Apart from the environment that is looked at.
$(VENV)/.audits: docker/audit.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip --disable-pip-version-check install --requirement $<
	@touch $@

# Apart from the environment of the tests: schemathesis brings a pytest of its own.
$(VENV)/.fuzzes: benchmarks/fuzz/schemathesis.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/fuzz
	$(VENV)/fuzz/bin/python -m pip --disable-pip-version-check install --requirement $<
	@touch $@

$(VENV)/.benches: $(VENV)/.serves
	$(INSTALL) --editable '.[bench]'
	@# torchcodec works with some builds of torch only; the benchmarks report it when it is missing
	-$(INSTALL) torchcodec
	@touch $@
