# The targets of CONTRIBUTING.md. `make dev` and `make test` each need nothing but make, gcc and a Python.
SHELL := /bin/sh
PY := .venv/bin/python
INSTALLED := .venv/.installed
NATIVE := $(wildcard native/*.* native/*/* asm/*/*)
# for programs in C that hold the whole kernel; NO_ASM=1 leaves the assembly out
ASSEMBLY := $(if $(NO_ASM),,$(wildcard asm/$(shell uname -m)/*.S))
KERNEL_CC := $(or $(CC),cc) -std=c11
KERNEL_SOURCES := -Inative $(if $(ASSEMBLY),-DAH_ASM=1) native/*.c $(ASSEMBLY)

CAN_CRASH := if [ "$$(id -u)" != 0 ]; then echo "NOT RUN: tests.crash needs root, to mount file systems of its own"; \
	elif ! command -v mkfs.ext4 >/dev/null; then echo "NOT RUN: tests.crash needs mkfs.ext4 (Debian: e2fsprogs)"; \
	elif ! scripts/can-mount; then echo "NOT RUN: tests.crash needs loop mounts, which this host refuses"; \
	else

.PHONY: install dev test test-mounts test-proxy test-workers crash crash-sample crash-mutations lint format type migrate lock lock-hashes clean ci
.PHONY: audit sbom dist dist-compare soak
.PHONY: kernel-sanitize kernel-sanitize-python kernel-valgrind kernel-fuzz kernel-emulated kernel-entries kernel-aarch64 kernel-avx512
.DEFAULT_GOAL := help
.PHONY: help
help: ## these lines
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 18

install: ## bring .venv up to date and build the kernel
	@rm -f $(INSTALLED)
	@$(MAKE) --no-print-directory $(INSTALLED)

$(INSTALLED): pyproject.toml requirements.lock setup.py scripts/install scripts/find-uv scripts/find-python $(NATIVE)
	scripts/install
	@touch $@

dev: $(INSTALLED) ## serve on 127.0.0.1:8000, restart when a source changes
	$(PY) -m watchfiles --filter python "$(PY) -m artifactstore serve --host 127.0.0.1 --port 8000" src

test: $(INSTALLED) ## the whole suite
	$(PY) -m pytest $(PYTEST_ARGS)

test-mounts: $(INSTALLED) ## what needs root and small file systems of its own: a full disk, one that grows, a cold one, a snapshot
	@if [ "$$(id -u)" != 0 ]; then echo "NOT RUN: tests/mounts needs root, to mount loop devices"; \
	elif ! command -v mkfs.ext4 >/dev/null; then echo "NOT RUN: tests/mounts needs mkfs.ext4 (Debian: e2fsprogs)"; \
	elif ! command -v fsfreeze >/dev/null; then echo "NOT RUN: tests/mounts needs fsfreeze (Debian: util-linux)"; \
	elif ! scripts/can-mount; then echo "NOT RUN: tests/mounts needs loop mounts, which this host refuses"; \
	else $(PY) -m pytest tests/mounts; fi

test-workers: $(INSTALLED) ## the tests of HTTP again, all of their connections accepted by a worker
	$(PY) -m pytest tests/http --through-worker

test-proxy: $(INSTALLED) ## deploy/nginx.conf in front of a gateway, over TLS; needs nginx and openssl
	@for needed in nginx openssl; do command -v $$needed >/dev/null || \
	    { echo "$$needed is missing (Debian: nginx-light openssl)"; exit 1; }; done
	$(PY) -m pytest tests/proxy

soak: $(INSTALLED) ## a gateway under mixed load, killed every few seconds, for MINUTES (default 5); then everything is checked
	$(PY) -m tests.soak --minutes $(or $(MINUTES),5) $(SOAK_ARGS)

crash: $(INSTALLED) ## the crash harness, as root: every call broken off, power cuts, failing disks; hours (CRASH_ARGS narrows it)
	@$(CAN_CRASH) $(PY) -m tests.crash $(or $(CRASH_ARGS),--long); fi

crash-sample: $(INSTALLED) ## a few minutes of it
	@$(CAN_CRASH) $(PY) -m tests.crash --sample; fi

crash-mutations: $(INSTALLED) ## each sync and each ordering taken out of the sources in turn: the harness must turn red
	@$(CAN_CRASH) $(PY) -m tests.crash --mutations; fi

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
	$(KERNEL_CC) -O1 -g -Wall -Wextra -Wpedantic -Wconversion -Werror -fsanitize=address,undefined \
	    -fno-sanitize-recover=all $(KERNEL_SOURCES) tests/kernel/sanitize.c -o build/kernel-sanitize
	build/kernel-sanitize


kernel-sanitize-python: $(INSTALLED) ## the module for Python under both sanitizers, with the tests of hashing
	scripts/sanitize-python

kernel-valgrind: ## the kernel's C under valgrind, with the instructions that it knows
	@mkdir -p build
	$(KERNEL_CC) -O1 -g $(KERNEL_SOURCES) tests/kernel/sanitize.c -o build/kernel-valgrind
	valgrind --quiet --error-exitcode=1 --leak-check=full build/kernel-valgrind 3100

kernel-entries: $(INSTALLED) ## each entry of each kernel of this CPU against the portable one: registers, guard pages
	tests/kernel/entries/run native

kernel-emulated: $(INSTALLED) ## the same on older x86-64 CPUs, under qemu-user; says what it cannot emulate
	tests/kernel/entries/run older

kernel-aarch64: $(INSTALLED) ## the same for aarch64, cross-compiled, under qemu-user; names what is missing
	tests/kernel/entries/run aarch64

kernel-avx512: $(INSTALLED) ## the same for AVX-512, under Bochs (minutes); names what is missing
	tests/kernel/entries/run avx512

kernel-fuzz: ## differential fuzzing of all kernels for SECONDS (default 600): libFuzzer where clang has it, else random programs
	@mkdir -p build/kernel-corpus
	@if echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' | \
	    clang -fsanitize=fuzzer,address -x c - -o build/kernel-fuzz 2>/dev/null; then \
	    clang -std=c11 -O1 -g -DLIBFUZZER -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all $(KERNEL_SOURCES) \
	        tests/kernel/fuzz.c -o build/kernel-fuzz && \
	    build/kernel-fuzz -max_total_time=$(or $(SECONDS),600) -max_len=512 build/kernel-corpus; \
	else \
	    echo "no libFuzzer here (Debian: clang libclang-rt-14-dev): random programs instead"; \
	    $(KERNEL_CC) -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all $(KERNEL_SOURCES) \
	        tests/kernel/fuzz.c -o build/kernel-fuzz && build/kernel-fuzz $(or $(SECONDS),600); \
	fi


.PHONY: hostile fuzz fuzz-keep
hostile: $(INSTALLED) ## hostile bytes split everywhere and beside nginx, slow clients, stored pages in a browser; names what is missing
	HOSTILE_EVERY_SPLIT=1 $(PY) -m pytest tests/http/test_hostile.py
	$(PY) -m tests.hostile
	$(PY) -m tests.hostile.slow
	$(PY) -m tests.hostile.browser

fuzz: $(INSTALLED) ## every parser of strangers' bytes, for SECONDS in all (default 3600), TARGETS="..." for some of them
	$(PY) -m tests.fuzz $(or $(SECONDS),3600) $(TARGETS)

fuzz-keep: $(INSTALLED) ## of what that found, add to the corpus what reaches code that nothing in it does
	$(PY) -m tests.fuzz.keep $(TARGETS)

.PHONY: bench bench-kernel bench-ingest bench-serve bench-registry bench-search bench-report
bench: $(INSTALLED) ## every benchmark suite but bench-search, one after the other
	@for suite in kernel ingest serve registry; do $(PY) -m benchmarks $$suite || exit 1; done

bench-kernel: $(INSTALLED) ## the digest kernels beside hashlib and the blake3 wheel
	$(PY) -m benchmarks kernel $(BENCH_ARGS)

bench-ingest: $(INSTALLED) ## uploads, beside other servers and ceilings in C
	$(PY) -m benchmarks ingest $(BENCH_ARGS)

bench-serve: $(INSTALLED) ## downloads, beside other servers
	$(PY) -m benchmarks serve $(BENCH_ARGS)

bench-registry: $(INSTALLED) ## the event log, beside a bare sqlite3 loop
	$(PY) -m benchmarks registry $(BENCH_ARGS)

bench-search: $(INSTALLED) ## a million artifacts: the time to record them, and what each kind of search costs then
	$(PY) -m benchmarks search $(BENCH_ARGS)

bench-report: $(INSTALLED) ## write docs/BENCHMARKS.md from the newest results
	$(PY) -m benchmarks report

build/bench-receive: benchmarks/opponents/receive.c $(NATIVE)
	@mkdir -p build
	$(or $(CC),cc) -std=gnu11 -O3 -fno-tree-vectorize -Wall -Wextra -pthread $(KERNEL_SOURCES) $< -o $@

build/bench-publish: benchmarks/opponents/publish.c
	@mkdir -p build
	$(or $(CC),cc) -std=gnu11 -O2 -Wall -Wextra -pthread $< -o $@

migrate: $(INSTALLED) ## alembic upgrade head, for the root of ARTIFACTSTORE_ROOT (default ./var)
	$(PY) -m alembic upgrade head

lock: $(INSTALLED) ## choose the newest of every dependency and write the pins into pyproject.toml
	scripts/pin-dependencies

lock-hashes: $(INSTALLED) ## write requirements.lock anew from the pins, and requirements-supply.lock with the newest of what it needs
	scripts/hash-dependencies

audit: $(INSTALLED) ## known vulnerabilities of what is pinned (pip-audit)
	scripts/audit

sbom: $(INSTALLED) ## what the package is made of: build/sbom.cdx.json (CycloneDX)
	scripts/sbom

dist: $(INSTALLED) ## the wheel and the sdist, in dist/
	scripts/build-distributions dist

dist-compare: $(INSTALLED) ## build both twice, in two places, and compare them byte for byte
	scripts/compare-distributions

ci: ## what CI runs
	.ci/run

clean: ## remove what the other targets made, .venv included; never a root
	rm -rf .venv .uv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache src/*.egg-info
	rm -f src/artifactstore/*/*.so src/artifactstore/hashing/_kernel.c src/artifactstore/storage/_publisher.c uv.lock
