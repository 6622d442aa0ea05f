# ContainerOS: `make run` and `make test` set up what they need on a Debian or Ubuntu with Rust, Node and make, then do their job.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

TARGET := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
DIST := target/dist
ARGS ?=

help: ## Show these targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

run: build ## Build, then serve the page on loopback; prints its address with the one-time set-up token (ARGS='--listen …')
	exec $(DIST)/containeros serve $(ARGS)

build: setup-build $(DIST)/containeros $(DIST)/mini $(DIST)/lab $(DIST)/starter.tar ## Build the release programs into target/dist

test: setup-test build ## Everything: format, lints, unit, kernel, both engines, browser, leaks
	tests/run

nightly: setup-test ## What takes minutes: `mini` killed and refused at every system call (ARGS for the test harness)
	cargo test --locked -p mini --test kernel -- --ignored faults:: --test-threads=1 $(ARGS)

fuzz: ## Fuzz the parsers of `mini` (ARGS='TARGET SECONDS'; all targets for a minute each without)
	scripts/fuzz $(ARGS)

check: setup-build web/node_modules/.ready ## The quick loop: format, lints, types, unit tests
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo test --workspace --exclude conformance --exclude bench --lib --bins --locked --quiet
	cd web && npm run --silent check && npm run --silent test

fmt: web/node_modules/.ready ## Format everything
	cargo fmt --all
	cd web && npm run --silent fmt

bench: setup-test build ## Side-by-side measurements, Mini against dockerd on this machine
	bench/run

deny: ## Licences, sources and bans of the crates (installs cargo-deny when missing)
	scripts/cargo-deny

openapi: ## Write docs/openapi.json from the code, and the TypeScript types from it
	cargo run --quiet --locked -p xtask -- openapi
	cd web && npm run --silent apigen

windows: ## Cross-check the portable crates for Windows (needs a Rust with the x86_64-pc-windows-gnu target)
	scripts/windows-check

clean: ## Remove what was built
	cargo clean
	rm -rf web/dist web/node_modules

setup-build:
	@scripts/setup build

setup-test:
	@scripts/setup test

web/node_modules/.ready: web/package-lock.json
	cd web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

WEB_SOURCES := $(shell find web/src web/public web/tools web/index.html web/vite.config.ts web/package.json -type f 2>/dev/null)
web/dist/index.html: web/node_modules/.ready $(WEB_SOURCES)
	cd web && npm run --silent build
	@touch $@

RUST_SOURCES := Cargo.toml Cargo.lock $(shell find crates xtask -name '*.rs' -o -name Cargo.toml -o -name '*.sql' -o -name '*.json' 2>/dev/null)
$(DIST)/containeros: web/dist/index.html $(RUST_SOURCES)
	CONTAINEROS_COMMIT=$$(git rev-parse --short HEAD 2>/dev/null) CONTAINEROS_BUILD_TIME=$$(git log -1 --format=%cI 2>/dev/null) \
		cargo build --locked --profile dist -p containeros
	@touch $@

# Static, so that it starts quickly and runs inside any root file system.
$(DIST)/mini: $(RUST_SOURCES)
	RUSTFLAGS='-C target-feature=+crt-static' cargo build --locked --profile dist-static --target $(TARGET) -p mini -p lab
	@mkdir -p $(DIST)
	install -m 755 target/$(TARGET)/dist-static/mini $(DIST)/mini
	install -m 755 target/$(TARGET)/dist-static/lab $(DIST)/lab

$(DIST)/lab: $(DIST)/mini

$(DIST)/starter.tar: $(DIST)/lab
	cargo run --locked --quiet -p xtask -- starter --busybox $$(scripts/busybox) --lab $(DIST)/lab --out $@

.PHONY: help run build test nightly fuzz check fmt bench deny openapi windows clean setup-build setup-test
