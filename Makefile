# What one types in a checkout. Each target does the set-up it needs and is safe to run twice.
# Needs root, since containers do. Images and caches live in .cache/, build results in target/.

SHELL := /bin/sh
.SHELLFLAGS := -euc
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# rustup puts its programs there before a new login shell knows it.
export PATH := $(HOME)/.cargo/bin:$(PATH)
TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
IMAGES := $(CURDIR)/.cache/images
AIRFLOW_IMAGES := $(CURDIR)/.cache/airflow-images
# The Airflow of the demo and of bench-airflow.
AIRFLOW := 3.3.2
# How many runs test-faults kills at random.
FAULTS := 500
# Arguments of the program behind a target: make test ARGS='--test e2e', make bench ARGS='-n 100'
ARGS ?=
# make test KEEP_LOGS=1 leaves containerd's log under .cache/logs/
WITH_CONTAINERD := scripts/with-containerd $(if $(KEEP_LOGS),--keep-logs)

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 28

# `exec`, so that a signal to make reaches the script that cleans up.
.PHONY: demo
demo: build images ## run one task in one sealed container, then a DAG of Airflow's, from nothing
	@$(WITH_CONTAINERD) env AIRTIGHT=$(TARGET)/debug/airtight scripts/demo
	@scripts/install-deps mmdebstrap python3-venv
	@scripts/make-airflow-images $(AIRFLOW_IMAGES) $(AIRFLOW)
	@exec scripts/with-airflow $(AIRFLOW) -- python3 scripts/demo-airflow

.PHONY: test
test: test-rust test-containerds test-airflow-core ## run the tests: those of the program, their core with later versions of containerd, the core of those with a real Airflow

.PHONY: test-rust
test-rust: build images ## run every test of the program against a private containerd
	@scripts/install-deps docker-registry skopeo openssl faketime
	@exec env AIRTIGHT_TEST_IMAGES=$(IMAGES) $(WITH_CONTAINERD) cargo test --locked --workspace --no-fail-fast $(ARGS)

.PHONY: test-containerds
test-containerds: build images ## run the core of the tests with containerd 1.7 and 2.1 too: ARGS='--all', ARGS='stop:: streams::'
	@exec env AIRTIGHT_TEST_IMAGES=$(IMAGES) scripts/test-containerds $(ARGS)

.PHONY: test-faults
test-faults: build images ## kill airtight after every step and FAULTS=500 times at random; tables of what was undone
	@exec env AIRTIGHT_TEST_IMAGES=$(IMAGES) AIRTIGHT_TEST_FAULTS=$(FAULTS) $(WITH_CONTAINERD) cargo test --locked --test e2e -- --nocapture faults:: $(ARGS)

# Twenty minutes for each runtime on two busy cores. make test-vm ARGS='--only stop:: memory::' for fewer tests.
.PHONY: test-vm
test-vm: build images ## run the core of the tests on a machine whose cgroups are version 2 alone, with runc and with crun
	@exec env AIRTIGHT_TEST_IMAGES=$(IMAGES) scripts/test-core $(ARGS) -- cgroup2-runc cgroup2-crun

.PHONY: test-airflow-core
test-airflow-core: deps ## run the tests of parsing and tasks with Airflow 3
	@scripts/install-deps mmdebstrap python3-venv
	@scripts/make-airflow-images $(AIRFLOW_IMAGES) $(AIRFLOW)
	@cd python && exec ../scripts/test-airflow $(AIRFLOW) -- tests/unit $(addprefix tests/v3/,test_parsing.py test_parsers.py test_parse_verb.py test_tasks.py)

.PHONY: test-airflow
test-airflow: build images airflow-images ## run the tests of python/ with real versions of Airflow: ARGS='3.3.2 -- -k parsing'
	@scripts/install-deps python3-venv docker-registry skopeo openssl postgresql redis-server
	@exec scripts/test-airflow $(ARGS)

.PHONY: lint
lint: deps ## check formatting, clippy, documentation, scripts
	@scripts/lint

.PHONY: bench
bench: deps images ## time airtight beside ctr and runc, and the merging of 1,000 metadata files
	@cargo build --locked --release
	@scripts/bench-config --airtight $(TARGET)/release/airtight
	@exec $(WITH_CONTAINERD) scripts/bench --airtight $(TARGET)/release/airtight --images $(IMAGES) $(ARGS)

# Not part of CI: ten minutes on two quiet cores. make soak ARGS='-n 300'
.PHONY: soak
soak: deps images ## run 10,000 tasks, eight at once, and look whether anything grows or is left behind
	@cargo build --locked --release
	@exec $(WITH_CONTAINERD) scripts/soak --airtight $(TARGET)/release/airtight --images $(IMAGES) $(ARGS)

.PHONY: bench-airflow
bench-airflow: deps ## time DAG parsing and the start of tasks by the real Airflow, with and without containers
	@scripts/install-deps mmdebstrap python3-venv
	@scripts/make-airflow-images $(AIRFLOW_IMAGES) $(AIRFLOW)
	@exec scripts/with-airflow --airtight-profile release $(AIRFLOW) -- python3 scripts/bench-airflow $(ARGS)

# Not part of CI: it runs for as long as one lets it. make fuzz ARGS='3600 metadata'
.PHONY: fuzz
fuzz: deps ## look for files that break a reader of configuration, ten minutes for each
	@exec scripts/fuzz $(ARGS)

.PHONY: build
build: deps ## build airtight, unoptimised
	@cargo build --locked --workspace

.PHONY: docs
docs: build ## renew what is made from runtime-specs/keys.yaml: docs/keys.md and the JSON schema
	@$(TARGET)/debug/airtight config keys --format markdown >docs/keys.md
	@$(TARGET)/debug/airtight config schema >runtime-specs/metadata.schema.json

.PHONY: deps
deps: ## install what is missing, from Debian's packages
	@scripts/install-deps

.PHONY: images
images: deps ## make the images for tests, demo and bench
	@scripts/make-test-images $(IMAGES)

.PHONY: airflow-images
airflow-images: ## make the images with Airflow, from Debian's and PyPI's packages
	@scripts/install-deps mmdebstrap python3-venv
	@scripts/make-airflow-images $(AIRFLOW_IMAGES)

.PHONY: test-airflow-images
test-airflow-images: build airflow-images ## test that the images with Airflow are what their names say
	@exec $(WITH_CONTAINERD) env AIRTIGHT=$(TARGET)/debug/airtight scripts/test-airflow-images $(AIRFLOW_IMAGES)

.PHONY: clean
clean: ## remove build results, images and logs
	@rm -rf .cache $(TARGET)
