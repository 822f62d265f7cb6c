# SPDX-License-Identifier: MIT
# The face for newcomers; the build itself is meson.build.

BUILD  ?= build
PREFIX ?= /usr/local
MESON_ARGS ?=
export BUILD PREFIX MESON_ARGS

.PHONY: all demo counter test check-asan check-tsan install uninstall deb deb-check bench coverage fuzz mutate lint format clean help

all: ## build into build/; the command is build/pawl
	@scripts/setup build
	@scripts/build $(BUILD)
	@echo "Built. Try:  $(BUILD)/pawl run nightly -- echo hello"

demo: ## the tutorial's lock against pawl, measured (PAWL_STORE chooses the store)
	@scripts/setup demo
	@scripts/build $(BUILD) -q
	@scripts/demo

counter: ## three instances of a counter service under load, with a page to look at
	@scripts/setup build
	@scripts/build $(BUILD) -q --prefix=$(PREFIX) $(MESON_ARGS)
	@BUILD=$(BUILD) examples/counter/run

test: ## every test, then again under ASan+UBSan and under TSan
	@scripts/setup test
	@scripts/test plain asan tsan

check-asan: ## the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/setup test
	@scripts/test asan

check-tsan: ## the tests under ThreadSanitizer
	@scripts/setup test
	@scripts/test tsan

install: all ## install below PREFIX (/usr/local); DESTDIR is honoured
	@meson install -C $(BUILD) --no-rebuild --quiet
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then ldconfig; fi

uninstall: ## remove what the last make install of this build directory has installed
	@ninja -C $(BUILD) uninstall
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then ldconfig; fi

deb: ## the Debian packages, in build-deb; lintian finds nothing in them
	@scripts/setup deb
	@scripts/deb

deb-check: deb ## install the Debian packages into a minimal Debian, and use them there (as root)
	@scripts/deb-check

bench: ## measure on this machine
	@scripts/setup bench
	@scripts/build $(BUILD) -q
	@scripts/bench

coverage: ## that the engine's tests reach each of its lines and branches
	@scripts/setup coverage
	@scripts/coverage

fuzz: ## each parser and the engine on random input, SECONDS (60) each
	@scripts/setup fuzz
	@scripts/fuzz --seconds $(or $(SECONDS),60)

mutate: ## plant small mistakes and see whether the tests notice, SAMPLE (20) in each area
	@scripts/setup test
	@scripts/mutate --sample $(or $(SAMPLE),20)

lint: ## clang-format, clang-tidy, cppcheck
	@scripts/setup lint
	@scripts/build $(BUILD) -q
	@scripts/lint

format: ## let clang-format rewrite the sources
	@scripts/setup lint
	@scripts/lint --fix

clean: ## remove all build directories
	rm -rf build build-deb build-asan build-tsan build-fuzz build-coverage build-mutate

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14
