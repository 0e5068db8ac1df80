# Copyright (c) 2026, nixmetal.builders contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PYTHON=/path/to/python3.11 names the Python that makes .venv; unset, tools/find-python looks for one.
PYTHON ?=
export PYTHON

# make molecule SCENARIO=<name> runs one scenario.
SCENARIO ?=
export SCENARIO

STAGES := lint sanity units integration molecule loop

.DEFAULT_GOAL := help
.PHONY: help setup setup-runtime test check-all coverage $(STAGES) demo lab-up lab-down bench docs build clean

help:  ## list these targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do printf '  %-14s %s\n' "$$name" "$$what"; done
	@printf '  %-14s %s\n' '<stage>' 'one stage of make test: $(STAGES)'

setup:  ## make .venv with pinned packages and link the checkout for Ansible (again: nothing to do)
	@tools/setup checks

setup-runtime:  ## the same, without what only the checks need
	@tools/setup runtime

demo: setup-runtime  ## start the lab and run the whole loop in it, from a Nix expression to a build on a PXE-booted machine
	@.venv/bin/python extensions/lab/demo.py

lab-up: setup-runtime  ## start the lab alone: an emulated cloud and three hosts
	@.venv/bin/python extensions/lab/demo.py --up

lab-down: setup-runtime  ## end the lab and remove its traces, all but the apt packages
	@.venv/bin/python extensions/lab/demo.py --down

test: setup  ## every stage, at most 30 minutes on 2 cores
	@.venv/bin/python tests/stages $(STAGES)

check-all: setup  ## make test with the tests marked long, at most 80 minutes
	@.venv/bin/python tests/stages --long $(STAGES)

$(STAGES): setup
	@.venv/bin/python tests/stages $@

coverage: setup  ## what of plugins/ the unit tests and the integration targets run together, in .cache/coverage: half an hour
	@.venv/bin/python tests/stages coverage

bench: setup  ## measure publishing, a rollout's CPU, the stream beside rsync, scp and others, and the inventory: an hour and a half, needs root and 12 GB of memory
	@.venv/bin/python tests/benchmarks/publish.py
	@.venv/bin/python tests/benchmarks/rollout.py
	@.venv/bin/python tests/benchmarks/stream
	@.venv/bin/python tests/benchmarks/inventory

docs: setup  ## the documentation site, in dist/docs/html
	@.venv/bin/python docs/site/make_site.py

build: setup-runtime  ## the collection's tarball, in dist/
	@.venv/bin/ansible-galaxy collection build --force --output-path dist

clean:  ## remove what the checks left behind, not the virtual environment
	@rm -rf .cache/* tests/output dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
