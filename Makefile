# latentprint: `make demo` shows what it does, `make test` shows that it works. Both set up what they need first.

.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
PORT ?= 5000
TESTS ?=
BENCHMARKS ?=
WORKERS ?= 3
BASE ?= python:3.11-slim-bookworm
TORCH ?= cuda
REGISTRY ?= localhost
BUNDLE ?=
BUNDLE_TAG ?= latest
ENGINE ?= $(firstword $(foreach name,podman docker,$(if $(shell command -v $(name)),$(name))))
PIP_CONF ?=
BUILD_FLAGS ?=

BIN := .venv/bin
PACKAGES := libs/core services/trainer services/encoder-server services/attack-engine libs/latentprint
APART := proto conformance mlserver kserve
MANIFESTS := $(PACKAGES:%=%/pyproject.toml)
INSTALL := -m pip install --disable-pip-version-check --no-deps
SOURCES := conftest.py libs services tests benchmarks proto requirements
CHROMIUM := chromium chromium-browser google-chrome google-chrome-stable
PROMTOOL := $(BIN)/promtool
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' libs/core/pyproject.toml)
IMAGES := encoder-server trainer attack-engine mlflow
IMAGE = $(REGISTRY)/latentprint/$(1):$(VERSION)$(if $(filter mlflow,$(1)),,-$(TORCH))
DOCKERFILE = $(firstword $(wildcard services/$(1)/Dockerfile deploy/$(1)/Dockerfile))
comma := ,
FONTS := Liberation Sans|Arial|Helvetica Neue|Roboto|Noto Sans|Segoe UI

# Nothing here reports home, and nothing is fetched from a model hub once the packages are installed.
export RAY_USAGE_STATS_ENABLED := 0
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
export HF_HUB_OFFLINE ?= 1

.NOTPARALLEL:
.PHONY: help setup demo test lint format proto proto-check bench ui images bundle-image cluster-check engine lock chromium promtool postgres clean distclean

help: ## list these targets
	@echo "latentprint: make TARGET"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

setup: .venv/.packages .venv/.dev $(APART:%=.venv-%/.ready) ## make the environments from the locks; costs nothing when current

demo: .venv/.packages ## train, serve, attack and report: experiments/quickstart.yaml
	$(BIN)/latentprint run experiments/quickstart.yaml

test: setup chromium promtool postgres ## run every test; TESTS=PATHS for some, WORKERS=0 for one process
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

lint: .venv/.packages .venv/.dev proto-check ## style, format, types, import rules, generated code
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: .venv/.dev ## format the sources and mend what ruff can mend
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

proto: .venv-proto/.ready ## generate the wire's Python code from proto/
	.venv-proto/bin/python proto/generate.py

proto-check: .venv-proto/.ready ## fail when the checked-in generated code is not current
	.venv-proto/bin/python proto/generate.py --check

bench: .venv/.packages ## measure the ratios that the project holds itself to; BENCHMARKS=NAMES for some
	$(BIN)/python -m benchmarks $(BENCHMARKS)

ui: .venv/.packages ## open MLflow on what was logged; PORT=5000
	@case "$${MLFLOW_TRACKING_URI:-}" in http*) \
	  echo "MLFLOW_TRACKING_URI names a server: open $$MLFLOW_TRACKING_URI in a browser." >&2; exit 1;; esac
	@mkdir -p runs/mlflow/artifacts
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui --host 127.0.0.1 --port $(PORT) --workers 1 \
	  --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///runs/mlflow/mlflow.db}" \
	  --artifacts-destination runs/mlflow/artifacts

define build_image
$(ENGINE) build --file $(call DOCKERFILE,$(1)) --tag $(call IMAGE,$(1)) \
  --build-arg BASE=$(BASE) $(if $(filter mlflow,$(1)),,--build-arg TORCH=$(TORCH)) --build-arg VERSION=$(VERSION) \
  --build-arg REVISION=$$(git rev-parse HEAD) $(if $(PIP_CONF),--secret id=pip$(comma)src=$(PIP_CONF)) $(BUILD_FLAGS) .

endef

images: engine ## build the images with podman or docker; IMAGES=NAMES for some, TORCH=cpu, BASE=IMAGE, REGISTRY=HOST, PIP_CONF=FILE, BUILD_FLAGS="..."
	$(foreach image,$(IMAGES),$(call build_image,$(image)))

bundle-image: engine ## build the image that brings a victim to its pods; BUNDLE=FOLDER, BUNDLE_TAG=TAG, BASE, REGISTRY as above
	@[ -f "$(BUNDLE)/latentprint.json" ] || { echo "Name the bundle's folder: make bundle-image BUNDLE=FOLDER." >&2; exit 1; }
	$(ENGINE) build --file services/encoder-server/bundle.Dockerfile --tag $(REGISTRY)/latentprint/victim-bundle:$(BUNDLE_TAG) \
	  --build-arg BASE=$(BASE) $(BUILD_FLAGS) "$(BUNDLE)"

cluster-check: IMAGES := encoder-server
cluster-check: images .venv/.packages .venv/.dev ## build the images, run them as restricted as on a cluster, and audit them; needs podman and root
	ENGINE=$(ENGINE) SERVER_IMAGE=$(call IMAGE,encoder-server) $(BIN)/python -m pytest -p no:xdist -s tests/cluster_check.py

engine:
	@[ -n "$(ENGINE)" ] || { echo "Images are built with podman or docker: install one, or name it with ENGINE=PATH." >&2; exit 1; }

lock: .venv-tools/.ready ## re-make requirements/*.txt, keeping what fits; UPGRADE=--upgrade for the newest
	.venv-tools/bin/python requirements/make_lock.py $(UPGRADE)

chromium:
	@missing=chromium; for name in $(CHROMIUM); do command -v $$name >/dev/null 2>&1 && missing=; done; \
	browser=$$missing; fc-list 2>/dev/null | grep -qE "$(FONTS)" || missing="$$missing fonts-liberation"; \
	[ -n "$$missing" ] || exit 0; \
	if ! command -v apt-get >/dev/null 2>&1; then sudo=none; \
	elif [ "$$(id -u)" = 0 ]; then sudo=; \
	elif sudo -n true 2>/dev/null; then sudo="sudo -n"; \
	else sudo=none; fi; \
	if [ "$$sudo" = none ] && [ -z "$$browser" ]; then \
	  echo "None of the report's fonts is here ($(FONTS)): its layout is tested in another." >&2; exit 0; fi; \
	if [ "$$sudo" = none ]; then \
	  echo "The report's tests need Chromium or Chrome on PATH: install it, then run this again." >&2; exit 1; fi; \
	echo "Installing Debian's $$missing for the report's tests"; \
	$$sudo apt-get update -q && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing

promtool: .venv/.runtime
	@{ command -v promtool || test -x $(PROMTOOL); } >/dev/null 2>&1 && exit 0; \
	fetch() { (cd "$$folder" && apt-get download -q prometheus) && \
	  dpkg-deb --fsys-tarfile "$$folder"/prometheus_*.deb | tar -xO ./usr/bin/promtool >"$$folder/promtool" && \
	  chmod +x "$$folder/promtool" && mv "$$folder/promtool" $(PROMTOOL); }; \
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT; \
	echo "Taking promtool out of Debian's package prometheus into .venv, for the tests of the alerts"; \
	if command -v apt-get >/dev/null 2>&1; then \
	  fetch && exit 0; \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -q && fetch && exit 0; \
	  elif sudo -n true 2>/dev/null; then sudo -n apt-get update -q && fetch && exit 0; fi; fi; \
	echo "The alerts' tests need promtool on PATH: install Prometheus, then run this again." >&2; exit 1

postgres:
	@command -v postgres >/dev/null 2>&1 && exit 0; ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 && exit 0; \
	if [ "$$(id -u)" = 0 ]; then sudo=; elif sudo -n true 2>/dev/null; then sudo="sudo -n"; else sudo=none; fi; \
	if [ "$$sudo" = none ] || ! command -v apt-get >/dev/null 2>&1; then \
	  echo "The tests of MLflow's server need PostgreSQL's programs: install them, then run this again." >&2; exit 1; fi; \
	echo "Installing Debian's postgresql for the tests of MLflow's server, which start one of their own"; \
	$$sudo apt-get update -q && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends postgresql

clean: ## remove caches and build leftovers; keeps environments and runs
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .grimp_cache .import_linter_cache .hypothesis
	find libs services tests benchmarks proto requirements -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## remove the environments and runs/ too
	rm -rf .venv $(APART:%=.venv-%) .venv-tools runs
	find libs services -name '*.egg-info' -prune -exec rm -rf {} +

# A stamp is written only after its step succeeded, so an interrupted set-up is taken up again.

define new_venv
@test -x $(1)/bin/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
  echo "latentprint needs Python 3.11 or later: install it, or name it with make PYTHON=/path/to/python3.11." >&2; exit 1; }
@test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
endef

.venv/.runtime: requirements/lock.txt
	$(call new_venv,.venv)
	@echo "Installing the packages that latentprint runs on into .venv (6.5 GB, a few minutes)"
	$(BIN)/python $(INSTALL) -r $<
	@touch $@

.venv/.packages: .venv/.runtime $(MANIFESTS)
	$(BIN)/python $(INSTALL) --quiet --no-build-isolation $(PACKAGES:%=-e %)
	@touch $@

.venv/.dev: .venv/.runtime requirements/dev.txt
	$(BIN)/python $(INSTALL) -r requirements/dev.txt
	@touch $@

.venv-%/.ready: requirements/%.txt
	$(call new_venv,.venv-$*)
	.venv-$*/bin/python $(INSTALL) -r $<
	@touch $@
