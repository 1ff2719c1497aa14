# Two commands are enough: `make demo` and `make test`. Both set up what is missing on a bare Debian.

SHELL := /bin/bash
PYTHON := /usr/bin/python3 -B
prepare := tests/setup/prepare.sh
.PHONY: all help setup demo psql test lint bench quality picture soak storm matrix audit release deb image installs install clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: ## set up, then let twenty vehicles drive on a live map (4 minutes; DEMO_STAY=1: until Ctrl-C)
	@$(prepare) demo
	@$(PYTHON) tests/demo/demo.py

psql: ## look into the database that the last demo left
	@$(PYTHON) tests/demo/look.py

test: ## set up, then run every test
	@$(prepare) test
	@$(PYTHON) tests/run.py

lint: ## formatting, clippy and shellcheck, warnings denied
	@$(prepare) test
	cargo fmt --all --check
	source target/setup.env && export PGRX_PG_CONFIG_PATH && cargo clippy --release --locked --workspace --all-targets \
		--no-default-features --features "osrm_matcher/pg$$PG_MAJOR" -- -D warnings
	@if command -v shellcheck >/dev/null; then shellcheck -x tests/setup/*.sh tests/installs/*.sh tests/matrix/*.sh .ci/run; fi

bench: ## backlog beside OSRM alone, live work, several workers, a plain worker, freshness, reads, disk, adoption, partitions, growth (an hour)
	@$(prepare) bench
	@$(PYTHON) tests/bench/throughput.py
	@$(PYTHON) tests/bench/live.py
	@$(PYTHON) tests/bench/provisional.py
	@$(PYTHON) tests/bench/workers.py
	@$(PYTHON) tests/bench/freshness.py
	@$(PYTHON) tests/bench/reads.py
	@$(PYTHON) tests/bench/disk.py
	@$(PYTHON) tests/bench/adoption.py
	@$(PYTHON) tests/bench/partitions.py
	@$(PYTHON) tests/bench/growth.py $(GROWTH)

quality: ## how far lines are from a known truth; fails where that got worse (ACCEPT=1: renew; SEED=n: other drives; TOLD=1: other ways to tell; DATA=dir OSRM_URL=url: your tracks)
	@$(prepare) quality
	@$(PYTHON) $(if $(DATA),tests/quality/own.py "$(DATA)" "$(OSRM_URL)",$(if $(TOLD),tests/quality/told.py,tests/quality/run.py $(if $(ACCEPT),--accept)) $(if $(SEED),--seed $(SEED)))

picture: ## draw a noisy trace as OSRM alone does and as we do, and the map page: docs/images
	@$(prepare) picture
	@$(PYTHON) tests/quality/noisy_trace.py
	@$(PYTHON) tests/demo/pictures.py

soak: ## a storm with workers, writers, readers, backfill, vacuum and a dump around it, for ten minutes
	@$(prepare) test
	@$(PYTHON) tests/soak/run.py

storm: ## random storms, each compared with a run from scratch (SECONDS=600, SEED=)
	@$(prepare) test
	@$(PYTHON) tests/storm/run.py $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

matrix: ## all tests on every PostgreSQL that can be had here, in clean Debians, as root; ON="17 18" for some
	@tests/setup/packages.sh roots
	@$(PYTHON) tests/matrix/run.py $(ON)

audit: ## licences and origins of the crates that we ship, and advisories where cargo-deny is installed
	@$(PYTHON) tests/setup/dependencies.py check
	@if command -v cargo-deny >/dev/null; then cargo deny --locked --exclude-dev check --config .github/deny.toml; \
	else echo "cargo-deny is not installed: advisories were not looked at"; fi

release: ## all files of a release: target/release-VERSION
	@$(prepare) build
	@tests/setup/deb.sh
	@tests/setup/release.sh

deb: ## a Debian package of the extension, for this Debian and its PostgreSQL: target/deb
	@$(prepare) build
	@tests/setup/deb.sh

image: ## the Docker image, where there is an engine; PG=17 for another PostgreSQL
	docker build --build-arg PG_MAJOR=$(or $(PG),15) --build-arg DEBIAN=$(if $(filter 18 17,$(PG)),trixie,bookworm) \
		--tag osrm_matcher:pg$(or $(PG),15) .

installs: ## each way to install it, tried in a clean Debian made by debootstrap, as root
	@tests/setup/packages.sh roots
	@$(prepare) demo
	@$(PYTHON) tests/installs/run.py $(WAYS)

install: ## set up, then install the extension into the system's PostgreSQL
	@$(prepare) build
	@tests/setup/install.sh

all: ## only what `make install` installs: target/package (pgxn calls it so)
	@$(prepare) build

setup: ## only set up and build
	@$(prepare) test

clean: ## remove everything that was built or downloaded here
	@tests/setup/clean.sh
