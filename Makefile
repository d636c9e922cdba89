# Every target that people use says what it does after '##'; `make help` lists them.

SHELL := /bin/sh
PYTHON ?= /usr/bin/python3
PREFIX ?= /usr/local
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
VENV := .venv
PROGRAMS ?= $(CURDIR)/build/programs
CORPUS ?= ../shared/corpus

# What a Debian machine needs to run astbtd, to build and test it, and to boot the test container.
RUN_PACKAGES := gdb python3 python3-venv python3-lz4 python3-pyinotify python3-systemd python3-watchdog python3-yaml python3-zstandard
DEV_PACKAGES := bindfs g++ gdb gcc libc6-dev make pkg-config libsystemd-dev python3-dev python3-venv systemd
BENCH_PACKAGES := time
SYSTEM_PACKAGES := debian-archive-keyring debootstrap mount systemd-container util-linux

missing = $(shell for package in $(1); do \
	dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || echo $$package; done)
install-packages = set -e; missing="$(call missing,$(1))"; test -z "$$missing" || { \
	$(SUDO) apt-get update -q; $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $$missing; }

BENCH :=

.PHONY: help dev demo test test-faults fuzz test-system bench evaluate bench-diagnosis bench-deadlock examples check lint types users \
	programs run-packages install uninstall clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

dev: $(VENV)/.made ## .venv with astbtd and its tools in it, after installing what is missing

$(VENV)/.made: pyproject.toml
	@$(call install-packages,$(DEV_PACKAGES))
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q wheel setuptools
	$(VENV)/bin/pip install -q --no-build-isolation -e '.[dev]'
	@touch $@

users: ## the group and the user that astbtd needs, unless they exist
	@getent group astbtd >/dev/null && getent passwd astbtd-gdb >/dev/null || \
		$(SUDO) systemd-sysusers $(CURDIR)/packaging/systemd/sysusers.d/astbtd.conf

programs: dev ## the programs that crash in tests and demo
	@$(MAKE) -s -C tests/programs BUILD=$(PROGRAMS)

demo: dev users programs ## a real crash, collected and shown, on a scratch store
	$(SUDO) $(VENV)/bin/python -m tests.demo $(PROGRAMS)

test: dev users ## unit and integration tests (as root: gdb has to change its user)
	$(SUDO) $(VENV)/bin/python -m pytest -q -p no:cacheprovider tests/layout tests/unit tests/fuzz tests/integration

test-faults: dev users ## the tests of kills and failing disks, with a fault at every call instead of at some
	$(SUDO) env ASTBTD_EVERY_FAULT=1 $(VENV)/bin/python -m pytest -q -p no:cacheprovider \
		tests/integration/test_every_kill.py tests/integration/test_every_fault.py

fuzz: dev ## the tests with hostile input, for as long as it takes
	$(VENV)/bin/python -m pytest -q -p no:cacheprovider --hypothesis-profile=fuzz tests/fuzz

test-system: dev ## the service in booted containers: Debian 12 and 13, forky with a real Asterisk
	@$(call install-packages,$(SYSTEM_PACKAGES))
	$(SUDO) $(VENV)/bin/python -m pytest -q -p no:cacheprovider tests/system

examples: dev users ## docs/examples anew: what astbtd writes of real crashes
	@$(call install-packages,$(SYSTEM_PACKAGES))
	@$(MAKE) -s -C tests/programs BUILD=$(PROGRAMS) pbx
	$(SUDO) $(VENV)/bin/python -m tests.examples $(PROGRAMS) docs/examples
bench-deadlock: dev ## how long Asterisk stands still for a capture, against gdb
	@$(call install-packages,$(SYSTEM_PACKAGES))
	$(SUDO) $(VENV)/bin/python -m tests.system.bench_deadlock

bench: dev users ## measures everything docs/performance.md speaks of; BENCH="extraction quiet" some of it
	@$(call install-packages,$(BENCH_PACKAGES))
	$(SUDO) $(if $(BENCH_CORE),env BENCH_CORE=$(BENCH_CORE) BENCH_EXE=$(BENCH_EXE) )$(VENV)/bin/python -m tests.bench $(BENCH)

lint: dev ## ruff
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: dev ## mypy --strict
	$(VENV)/bin/mypy

evaluate: dev ## the diagnosis against labelled backtraces (CORPUS=DIR)
	$(VENV)/bin/python -m tests.evaluate $(CORPUS)

bench-diagnosis: dev ## what a backtrace costs to read, up to 50 MB
	$(VENV)/bin/python -m tests.bench.diagnosis

check: lint types test ## lint, types and tests: what has to pass before a commit

run-packages: ## prints the packages of Debian that astbtd runs on
	@echo $(RUN_PACKAGES)

install: ## astbtd, its unit and its configuration (PREFIX, DESTDIR)
	packaging/install "$(DESTDIR)" "$(PREFIX)"

uninstall: ## removes what install installed; the store and the configuration stay
	packaging/uninstall "$(DESTDIR)" "$(PREFIX)"

clean: ## removes what was built
	rm -rf build $(VENV) *.egg-info
