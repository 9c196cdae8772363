# The index of commands. What needs logic is a program or a test; this file only calls it.

CARGO  ?= cargo
SERVERS = $(CARGO) run --quiet --package sealwright-tests --bin servers --
STATIC  = $(shell uname -m)-unknown-linux-musl
PREFIX ?= /usr/local
LINKS  ?=
# Tests that wait for a controller most of their time are many at a time.
WAITING = 8
REAL    = --features sealwright-tests/cluster,sealwright-tests/interop,sealwright-tests/vaults

.PHONY: help
help: ## lists the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## builds the command line and shows the main job from end to end
	@echo 'Building the command line, which takes a few minutes the first time. Then the demo starts.'
	@$(CARGO) build --package sealwright --bin sealwright
	@sh cli/demo.sh "$${CARGO_TARGET_DIR:-target}/debug/sealwright"

.PHONY: test
test: servers ## runs every test, those against real servers and upstream's programs included
	$(CARGO) build --workspace --bins $(REAL)
	$(CARGO) test --workspace $(REAL)
	RUST_TEST_THREADS=$(WAITING) $(CARGO) test --workspace $(REAL) --test external_secrets

.PHONY: soak
soak: servers ## runs what is too long for `make test`: large seeded runs, chaos, loads (SEALWRIGHT_SEED chooses others)
	@$(SERVERS) vals >/dev/null
	$(CARGO) build --workspace --bins $(REAL)
	SEALWRIGHT_SOAK=1 $(CARGO) test --workspace $(REAL) -- --nocapture
	SEALWRIGHT_SOAK=1 $(CARGO) test --workspace $(REAL) --test external_secrets -- --nocapture
	$(MAKE) dist
	deploy/try "$${CARGO_TARGET_DIR:-target}/dist"

.PHONY: check
check: ## checks format, lints (of the smallest build too), licences, bans, advisories, unused dependencies, documentation and the book; warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features -- --deny warnings
	$(CARGO) clippy --package sealwright --package sealwright-controller --no-default-features -- --deny warnings
	sh .ci/deny "$$($(SERVERS) cargo-deny)/cargo-deny"
	"$$($(SERVERS) cargo-machete)/cargo-machete" --skip-target-dir
	sh .ci/book "$$($(SERVERS) mdbook)/mdbook" "$${CARGO_TARGET_DIR:-target}/book"
	RUSTDOCFLAGS='--deny warnings' $(CARGO) doc --workspace --no-deps --all-features

.PHONY: bench
bench: servers ## measures sealwright beside upstream's programs, in turn, and writes target/bench.json
	$(CARGO) build --release --workspace --bins --features sealwright-tests/bench
	$${CARGO_TARGET_DIR:-target}/release/bench

.PHONY: dist
dist: ## builds static programs and packs them into target/dist: .tar.gz, .deb, root filesystem, SBOM (needs musl-tools)
	@command -v musl-gcc >/dev/null || { echo 'make dist needs musl-gcc (Debian: apt install musl-tools)' >&2; exit 1; }
	@rustup target list --installed | grep -qx $(STATIC) || rustup target add $(STATIC)
	$(CARGO) build --locked --release --target $(STATIC) --package sealwright --bin sealwright
	$(CARGO) build --locked --release --target $(STATIC) --package sealwright-controller --bin sealwright-controller
	$(CARGO) run --locked --quiet --package sealwright-tests --features sbom --bin sbom -- $(STATIC) sealwright sealwright-controller >"$${CARGO_TARGET_DIR:-target}/sealwright.cdx.json"
	deploy/dist "$${CARGO_TARGET_DIR:-target}/$(STATIC)/release" "$${CARGO_TARGET_DIR:-target}/dist" "$${CARGO_TARGET_DIR:-target}/sealwright.cdx.json"

.PHONY: install
install: ## builds both programs and installs them below PREFIX (/usr/local), with LINKS="sops kubeseal" in their places
	$(CARGO) build --locked --release --package sealwright --package sealwright-controller --bins
	deploy/install "$${CARGO_TARGET_DIR:-target}/release" "$(PREFIX)" "$(LINKS)"

.PHONY: servers
servers: ## builds the servers and upstream's programs that tests need, once, into the cache
	@$(SERVERS) >/dev/null

.PHONY: clean
clean: ## removes what was built here; the cache of servers stays
	$(CARGO) clean
