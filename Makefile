# Entry points for people. Whatever needs more than a line is `cargo xtask`.

# Build output lives outside the checkout, so that a copied or shared checkout never carries it along.
cache := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/reeve
export CARGO_TARGET_DIR ?= $(cache)/target
# Python with the clients that the acceptance tests drive; `scripts/test-setup` makes it.
export REEVE_TEST_VENV ?= $(cache)/test-venv
export REEVE_TEST_PYTHON ?= $(REEVE_TEST_VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: run test bench lint help

run: ## build the release binary and start the demo; ARGS="--listen 127.0.0.1:9090" adds arguments
	cargo build --release -p reeve-bin --bin reeve
	exec "$(CARGO_TARGET_DIR)/release/reeve" serve --demo $(ARGS)

test: ## install what the tests need, lint, build and run every test; ends with "N passed, M failed"
	./scripts/test-setup
	cargo xtask ci

bench: ## build the release binary and measure it; ARGS="binary-size" picks benchmarks
	cargo build --release -p reeve-bin --bin reeve
	cargo xtask bench $(ARGS)

lint: ## formatting, clippy, tidy and the dependency rules, without tests
	cargo xtask lint

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
