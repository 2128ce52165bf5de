# Offnormal: one command each. `make help` lists them.

PORT   ?= 8000
MODELS ?= models

VENV := .venv
BIN  := $(VENV)/bin
# The first of these that runs and is 3.11 or newer makes the environment.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# A stamp is as new as the last installation that it names; a second run installs nothing.
SERVE := $(VENV)/.serve
DEV   := $(VENV)/.dev

.DEFAULT_GOAL := help
.PHONY: help serve test check protocol lock clean train-pump-loop bench bench-quality fuzz fuzz-live audit soak

help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | \
		while IFS="$$(printf '\t')" read -r name text; do printf '  make %-17s %s\n' "$$name" "$$text"; done

serve: $(SERVE) ## Install what serving needs and serve the models on PORT (8000)
	@exec $(BIN)/offnormal serve --port $(PORT) --models $(MODELS)

test: $(DEV) ## Install everything and run the tests
	$(BIN)/pytest -n 2 --dist loadfile --ignore tests/containers --ignore tests/e2e/test_overload.py
	$(BIN)/pytest tests/e2e/test_overload.py tests/containers

check: $(DEV) ## Format, lint, types, import floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

train-pump-loop: $(DEV) ## Train the embedded model anew from the folder DATA of the SKAB data set
	@test -d "$(DATA)/valve2" || { echo "error: DATA must name the folder of SKAB (it has valve1, valve2, other)" >&2; exit 2; }
	$(BIN)/offnormal train $(DATA) --test $(DATA)/valve2 --name pump-loop --models $(MODELS) \
		--recipe models/pump-loop/recipe.toml \
		--unit Accelerometer1RMS=g --unit Accelerometer2RMS=g --unit Current=A --unit Pressure=bar \
		--unit Temperature=°C --unit Thermocouple=°C --unit Voltage=V --unit "Volume Flow RateRMS=l/min" \
		--description "Water circulation loop with pump, motor and two valves, 1 Hz: Skoltech Anomaly Benchmark (SKAB) v0.9, Katser and Kozitsin 2020, doi 10.34740/KAGGLE/DSV/1693952. The four experiments in which the outlet valve was closed (valve2) are kept out to report on." \
		--licence GPL-3.0

bench: $(DEV) ## Measure all figures of docs/benchmarks.md anew, beside other model servers (OPTIONS=--help)
	@$(BIN)/python -m benchmarks.speed $(OPTIONS)

bench-quality: $(DEV) ## Measure all figures of docs/quality.md anew from the data sets in the folder DATA
	@test -n "$(DATA)" || { echo "error: DATA must name the folder of the data sets: skab, tennessee_eastman, nab_machine_temperature" >&2; exit 2; }
	@$(BIN)/python -m benchmarks.quality "$(DATA)" $(OPTIONS)

protocol: $(DEV) ## Generate the messages of gRPC anew from service/grpc/open_inference.proto
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. service/grpc/open_inference.proto

# Runs of the coverage-guided fuzzer for each target. Its environment sees the packages of the other one.
FUZZ_RUNS ?= 100000
FUZZ_TARGETS ?= body commissioning npy csv manifest golden operation keys
FUZZ := $(VENV)/fuzz

fuzz: $(DEV) ## Look for bytes that break a reader, FUZZ_RUNS (100000) for each target
	@test -x $(FUZZ)/bin/python || { $(BIN)/python -m venv $(FUZZ) && $(FUZZ)/bin/pip install --quiet atheris==3.0.0; }
	@site=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	for target in $(FUZZ_TARGETS); do \
		PYTHONPATH=.:$$site $(FUZZ)/bin/python -m tests.fuzz $$target --runs $(FUZZ_RUNS) || exit 1; \
	done

# How many times as much is tried as by `make test`.
FUZZ_TIMES ?= 6

fuzz-live: $(DEV) ## Ask a running service thousands of requests made up from its OpenAPI: FUZZ_TIMES (6) thousand
	OFFNORMAL_FUZZ=$(FUZZ_TIMES) $(BIN)/pytest -q -s tests/fuzz/test_live.py

AUDIT := $(VENV)/audit
AUDIT_LOCKS ?= serve train dev sbom

audit: $(BIN)/python ## Look for known weaknesses of what is locked (needs internet)
	@test -x $(AUDIT)/bin/pip-audit || { $(BIN)/python -m venv $(AUDIT) && $(AUDIT)/bin/pip install --quiet pip-audit==2.10.1; }
	@for lock in $(AUDIT_LOCKS); do \
		echo "requirements/$$lock.lock"; \
		$(AUDIT)/bin/pip-audit --disable-pip --require-hashes --strict -r requirements/$$lock.lock || exit 1; \
	done

soak: $(DEV) ## Overload the service, then soak it for MINUTES (60) with faults; figures go to docs/reliability.md
	@$(BIN)/python -m benchmarks.reliability --minutes $(or $(MINUTES),60) --overload-s $(or $(OVERLOAD_S),60) $(OPTIONS)

lock: ## Resolve the locked requirements anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --group build \
		pyproject.toml -o requirements/serve.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --group build \
		--group dev --all-extras pyproject.toml -o requirements/dev.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --group build \
		--extra train --extra parquet pyproject.toml -o requirements/train.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--group pyproject.toml:sbom -o requirements/sbom.lock

clean: ## Remove the environment and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer is needed; name one with PYTHON=" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(SERVE): requirements/serve.lock pyproject.toml | $(BIN)/python
	@echo "Installing what serving needs ..."
	@$(PIP) install --require-hashes -r requirements/serve.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): requirements/dev.lock pyproject.toml | $(BIN)/python
	@echo "Installing what training and the tests need (TensorFlow among it: a few minutes) ..."
	@$(PIP) install --require-hashes -r requirements/dev.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $(SERVE) $@
