# `make help` lists the targets that have a description after '##'.

SHELL := /bin/sh
PYTHON ?= /usr/bin/python3
PREFIX ?= /usr/local
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
VENV := .venv
PROGRAMS ?= $(CURDIR)/build/programs
CORPUS ?= ../shared/corpus

# Debian packages to run astbtd, to build and test it, to run the benchmarks, and to boot the test containers.
RUN_PACKAGES := gdb python3 python3-venv python3-lz4 python3-pyinotify python3-seccomp python3-systemd python3-watchdog python3-yaml python3-zstandard
DEV_PACKAGES := g++ gdb gcc libc6-dev make pkg-config libsystemd-dev python3-dev python3-venv systemd
# What only tests need: servers, shells, a browser, promtool, and a compiler, a gdb and an emulator for arm64.
TEST_PACKAGES := age bindfs chromium debuginfod gcc-aarch64-linux-gnu gdb-multiarch jq libc6-dev-arm64-cross openssl postfix prometheus qemu-user zsh
BENCH_PACKAGES := time
# To build and check the Debian package. debian/control lists what the build needs.
DEB_PACKAGES := debhelper dh-python fakeroot iproute2 lintian pybuild-plugin-pyproject python3-all python3-hypothesis python3-jinja2 python3-prometheus-client python3-pytest \
	python3-setuptools python3-shtab $(RUN_PACKAGES)
# To look at the HTML page.
BROWSER_PACKAGES := chromium
# To make the root file system of an arm64 machine, to compile its test programs, and to emulate the machine.
ARM64_PACKAGES := cpio debian-archive-keyring e2fsprogs gcc-aarch64-linux-gnu git libc6-dev-arm64-cross make qemu-system-arm util-linux
SYSTEM_PACKAGES := debian-archive-keyring debootstrap mount systemd-container systemd-journal-remote util-linux

missing = $(shell for package in $(1); do \
	dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || echo $$package; done)
install-packages = set -e; missing="$(call missing,$(1))"; test -z "$$missing" || { \
	$(SUDO) apt-get update -q; $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $$missing; }

# Error trackers for tests, from PyPI, in environments of their own: astbtd does not need Django.
TRACKERS := build/trackers
BUGSINK := bugsink==2.6.2 gunicorn==26.2.0
RELAY := sentry-relay==0.10.1

BENCH :=
ARM64 :=

# JOBS is how many tests run at once. FAST are the directories of tests that need neither root nor a kernel setting.
JOBS ?= $(shell nproc)
PYTEST := $(VENV)/bin/python -m pytest -q -p no:cacheprovider
FAST := tests/unit tests/layout tests/fuzz
PARALLEL := -n $(JOBS) --dist worksteal
# Each worker in a pid namespace of its own: tests/support/isolated-python says why.
ISOLATED := --tx '$(JOBS)*popen//python=$(CURDIR)/tests/support/isolated-python' --dist worksteal

.PHONY: help dev demo test-packages trackers test test-fast test-root test-nightly test-system test-arm64 test-end-to-end fuzz bench evaluate \
	bench-diagnosis bench-deadlock compare-coredumper examples screenshots check lint types users programs run-packages install uninstall completions deb test-package deb-packages clean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

dev: $(VENV)/.made ## .venv with astbtd and its tools in it, after installing missing packages

$(VENV)/.made: pyproject.toml
	@$(call install-packages,$(DEV_PACKAGES))
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q wheel setuptools
	$(VENV)/bin/pip install -q --no-build-isolation -e '.[dev]'
	@touch $@

test-packages: # installs what tests need besides what `dev` installs
	@$(call install-packages,$(TEST_PACKAGES))

trackers: $(TRACKERS)/.made ## for tests: Bugsink and Sentry's event normalizer, from PyPI

$(TRACKERS)/.made: tests/support/bugsink.py | dev
	$(PYTHON) -m venv $(TRACKERS)/bugsink
	$(TRACKERS)/bugsink/bin/pip install -q $(BUGSINK)
	$(PYTHON) -m venv $(TRACKERS)/relay
	$(TRACKERS)/relay/bin/pip install -q $(RELAY)
	$(VENV)/bin/python -m tests.support.bugsink
	@touch $@

users: ## the group and the user that astbtd needs, unless they exist
	@getent group astbtd >/dev/null && getent passwd astbtd-gdb >/dev/null || \
		$(SUDO) systemd-sysusers $(CURDIR)/packaging/systemd/sysusers.d/astbtd.conf

programs: dev ## the programs that crash in tests and demo
	@$(MAKE) -s -C tests/programs BUILD=$(PROGRAMS)

demo: dev users programs ## a real crash, collected and shown, on a scratch store
	$(SUDO) $(VENV)/bin/python -m tests.demo $(PROGRAMS)

test-fast: dev test-packages ## unit, layout and short fuzz tests, without root; with branch coverage
	$(PYTEST) $(PARALLEL) --cov=astbtd -m 'not root and not nightly' $(FAST)

test-root: dev test-packages trackers users ## the tests that need root: in parallel, then, one by one, those that change kernel settings
	$(SUDO) $(PYTEST) $(ISOLATED) -m 'root and not serial and not nightly' $(FAST) tests/integration
	$(SUDO) $(PYTEST) -m 'serial and not nightly' $(FAST) tests/integration

test: test-fast test-root ## all but the nightly and the system tests

test-nightly: dev test-packages trackers users fuzz test-system test-arm64 ## the tests that take long: loops, floods, a fault at every call, fuzzing, system, arm64
	$(PYTEST) $(PARALLEL) -m 'nightly and not root' $(FAST)
	$(SUDO) $(PYTEST) $(ISOLATED) -rP -m 'nightly and root and not serial' $(FAST) tests/integration
	$(SUDO) $(PYTEST) -m 'nightly and serial' $(FAST) tests/integration
	$(SUDO) env ASTBTD_EVERY_FAULT=1 $(PYTEST) $(ISOLATED) \
		tests/integration/test_every_kill.py tests/integration/test_every_fault.py

fuzz: dev ## the fuzz tests with 50,000 examples each, 10 s per input; then the time per byte of each parser
	$(PYTEST) $(PARALLEL) --hypothesis-profile=fuzz tests/fuzz
	$(VENV)/bin/python -m tests.fuzz.parser_speed

test-system: dev ## the service in booted containers: Debian 12 and 13, forky with a real Asterisk
	@$(call install-packages,$(SYSTEM_PACKAGES))
	$(SUDO) $(PYTEST) tests/system

test-arm64: dev ## the tests that depend on the machine, on an emulated arm64 machine; ARM64="locks" selects groups
	@( $(call install-packages,$(ARM64_PACKAGES)) ) || echo 'arm64: not all packages can be installed: $(ARM64_PACKAGES)'
	$(SUDO) $(VENV)/bin/python -m tests.arm64 $(ARM64)

test-end-to-end: dev ## of the system tests, a crash from the core to the report: Debian 12, and forky with a real Asterisk
	@$(call install-packages,$(SYSTEM_PACKAGES))
	$(SUDO) $(PYTEST) -m end_to_end tests/system

examples: dev users ## write docs/examples again, from real crashes
	@$(call install-packages,$(SYSTEM_PACKAGES))
	@$(MAKE) -s -C tests/programs BUILD=$(PROGRAMS) pbx
	$(SUDO) $(VENV)/bin/python -m tests.examples $(PROGRAMS) docs/examples

compare-coredumper: dev ## write docs/ast-coredumper.md again: the facts that ast_coredumper and astbtd find in the same cores
	@$(call install-packages,$(SYSTEM_PACKAGES))
	$(SUDO) $(VENV)/bin/python -m tests.compare_coredumper docs/ast-coredumper.md

screenshots: dev users ## pictures of the HTML page, of real crashes, in build/screenshots
	@$(call install-packages,$(BROWSER_PACKAGES))
	@$(MAKE) -s -C tests/programs BUILD=$(PROGRAMS) all pbx
	$(SUDO) tests/support/isolated-python -m tests.screenshots $(PROGRAMS) build/screenshots

bench-deadlock: dev ## how long a capture stops Asterisk, compared with gdb
	@$(call install-packages,$(SYSTEM_PACKAGES))
	$(SUDO) $(VENV)/bin/python -m tests.system.bench_deadlock

bench: dev users ## measure the figures of docs/performance.md; BENCH="extraction quiet" selects some of them
	@$(call install-packages,$(BENCH_PACKAGES) $(SYSTEM_PACKAGES))
	$(SUDO) $(if $(BENCH_CORE),env BENCH_CORE=$(BENCH_CORE) BENCH_EXE=$(BENCH_EXE) )$(VENV)/bin/python -m tests.bench $(BENCH)

lint: dev ## ruff
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: dev ## mypy --strict
	$(VENV)/bin/mypy

evaluate: dev ## compare the diagnosis with labelled backtraces (CORPUS=DIR)
	$(VENV)/bin/python -m tests.evaluate $(CORPUS)

bench-diagnosis: dev ## measure how long backtraces of up to 50 MB take to read
	$(VENV)/bin/python -m tests.bench.diagnosis

check: lint types test ## lint, types and tests: all that must pass before a commit

run-packages: ## print the Debian packages that astbtd needs at run time
	@echo $(RUN_PACKAGES)

install: ## install astbtd, its units and its configuration (PREFIX, DESTDIR)
	packaging/install "$(DESTDIR)" "$(PREFIX)"

uninstall: ## remove what install installed; keep the store and the configuration
	packaging/uninstall "$(DESTDIR)" "$(PREFIX)"

completions: ## write the completions of bash and zsh to build/completions; needs python3-shtab
	@mkdir -p build/completions
	/usr/bin/python3 completions/generate bash >build/completions/astbtd
	/usr/bin/python3 completions/generate zsh >build/completions/_astbtd

deb-packages: # installs what `deb` needs; the only step that uses the network
	@$(call install-packages,$(DEB_PACKAGES))

deb: ## build the Debian package in dist/, without network access
	packaging/build-deb dist

test-package: dev deb-packages ## build the package twice, check it, install, upgrade and purge it in Debian 12 and 13
	@$(call install-packages,$(SYSTEM_PACKAGES))
	$(SUDO) $(PYTEST) tests/system/test_package_build.py tests/system/test_package.py

clean: ## remove build results
	rm -rf build dist $(VENV) *.egg-info
