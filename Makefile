# The targets of CONTRIBUTING.md. `make dev` and `make test` each need nothing but make, gcc and a Python.
SHELL := /bin/sh
PY := .venv/bin/python
INSTALLED := .venv/.installed
NATIVE := $(wildcard native/* asm/*/*)
# for programs in C that hold the whole kernel; NO_ASM=1 leaves the assembly out
ASSEMBLY := $(if $(NO_ASM),,$(wildcard asm/$(shell uname -m)/*.S))
KERNEL_SOURCES := -Inative $(if $(ASSEMBLY),-DAH_ASM=1) native/*.c $(ASSEMBLY)

.PHONY: install dev test lint format type migrate lock clean kernel-sanitize kernel-entries kernel-aarch64 kernel-avx512 ci
.DEFAULT_GOAL := help
.PHONY: help
help: ## these lines
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 18

install: ## bring .venv up to date and build the kernel
	@rm -f $(INSTALLED)
	@$(MAKE) --no-print-directory $(INSTALLED)

$(INSTALLED): pyproject.toml setup.py scripts/install scripts/find-uv scripts/find-python $(NATIVE)
	scripts/install
	@touch $@

dev: $(INSTALLED) ## serve on 127.0.0.1:8000, restart when a source changes
	$(PY) -m watchfiles --filter python "$(PY) -m artifactstore serve --host 127.0.0.1 --port 8000" src

test: $(INSTALLED) ## the whole suite
	$(PY) -m pytest $(PYTEST_ARGS)

lint: $(INSTALLED) ## ruff check, ruff format --check, the import contract
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	.venv/bin/lint-imports

format: $(INSTALLED) ## let ruff mend what it can
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

type: $(INSTALLED) ## mypy --strict
	$(PY) -m mypy --strict

kernel-sanitize: ## the kernel's C, with the assembly, under AddressSanitizer and UndefinedBehaviorSanitizer
	@mkdir -p build
	$(or $(CC),cc) -std=c11 -O1 -g -Wall -Wextra -Wpedantic -Wconversion -Werror -fsanitize=address,undefined \
	    -fno-sanitize-recover=all $(KERNEL_SOURCES) tests/kernel/sanitize.c -o build/kernel-sanitize
	build/kernel-sanitize

kernel-entries: $(INSTALLED) ## each entry of each kernel of this CPU against the portable one: registers, guard pages
	tests/kernel/entries/run native

kernel-aarch64: $(INSTALLED) ## the same for aarch64, cross-compiled, under qemu-user; names what is missing
	tests/kernel/entries/run aarch64

kernel-avx512: $(INSTALLED) ## the same for AVX-512, under Bochs (minutes); names what is missing
	tests/kernel/entries/run avx512

migrate: $(INSTALLED) ## alembic upgrade head, for the root of ARTIFACTSTORE_ROOT (default ./var)
	$(PY) -m alembic upgrade head

lock: $(INSTALLED) ## choose the newest of every dependency and write the pins into pyproject.toml
	scripts/pin-dependencies

ci: ## what CI runs
	.ci/run

clean: ## remove what the other targets made, .venv included; never a root
	rm -rf .venv .uv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache src/*.egg-info
	rm -f src/artifactstore/hashing/*.so src/artifactstore/hashing/_kernel.c uv.lock
