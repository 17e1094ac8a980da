# `make` alone lists the targets. Nothing has to be installed first but Go; for the tests' race detector a C compiler.

.DEFAULT_GOAL := help
.PHONY: help run build test contract check bench bench-program bench-full bench-once profile fmt cover clean

# Tools of the developers are pinned in a module file of their own and built on first use.
TOOL := go tool -modfile=.ci/tools.mod

# Repetitions of the benchmark.
N ?= 5

# Where the program spends its time while people book: the compiler looks there closely.
PROFILE := cmd/slotbook/bookings.pgo

# The program is static. Where git does not answer for this tree (owned by another user, or an archive), the build goes
# without the commit it would note.
BUILD := CGO_ENABLED=0 go build -trimpath -pgo=$(PROFILE) $(shell git rev-parse HEAD >/dev/null 2>&1 || echo -buildvcs=false)

# The race detector is the one thing here that needs cgo.
HAVE_CC := $(shell command -v $(firstword $(shell go env CC)) 2>/dev/null)
RACE := $(if $(HAVE_CC),-race)

# Tests of one package more than there are processors run at once: some wait.
PACKAGES := $(shell expr $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 1)

# The longest go first, so that none of them is left to run alone.
LONGEST := ./cmd/slotbook ./projections

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## start everything with demo data on http://127.0.0.1:8080
	bin/slotbook serve --demo

build: ## build bin/slotbook
	$(BUILD) -o bin/slotbook ./cmd/slotbook

test: build ## run every test, with the race detector
	@$(if $(RACE),,echo "no C compiler found: testing without the race detector")
	SLOTBOOK_TEST_PROGRAM=$(CURDIR)/bin/slotbook GORACE=atexit_sleep_ms=100 $(if $(RACE),CGO_ENABLED=1) $(TOOL) gotestsum --format=pkgname-and-test-fails -- $(RACE) -trimpath -ldflags='-s -w' -p $(PACKAGES) $(LONGEST) ./...

contract: ## run the contract of a store and the booking proofs against a real KurrentDB: SLOTBOOK_TEST_KURRENTDB=esdb://...
	@test -n "$(SLOTBOOK_TEST_KURRENTDB)" || { echo "set SLOTBOOK_TEST_KURRENTDB to the address of a KurrentDB, such as esdb://127.0.0.1:2113?tls=false"; exit 1; }
	go test -count=1 -timeout 60m ./adapters/kurrent ./adapters/transfer
	go test -count=1 -timeout 30m -run KurrentDB ./cmd/slotbook

check: ## check format, vet and lint
	@unformatted=$$($(TOOL) gofumpt -l .) && if [ -n "$$unformatted" ]; then \
		echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	$(TOOL) golangci-lint run ./...

bench-program: build
	$(BUILD) -o bin/slotbook-bench ./cmd/slotbook-bench

bench: bench-program ## measure, N times (make bench N=10)
	bin/slotbook-bench -n $(N)

bench-full: bench-program ## measure the searches in ten times as much, too (takes half an hour)
	bin/slotbook-bench -n $(N) -full

bench-once: bench-program ## measure once and quickly, to see that it works
	bin/slotbook-bench -n 1 -quick

profile: bench-program ## learn anew where the program spends its time while people book
	bin/slotbook-bench -n 20 -rows '^bookings over HTTP, 64 clients$$' -cpuprofile .cache/profile
	cp .cache/profile/server.pprof $(PROFILE)

fmt: ## format the code
	$(TOOL) gofumpt -w .

cover: ## test coverage of all packages, in .cache/cover.html
	@mkdir -p .cache
	go test -coverpkg=./... -coverprofile=.cache/cover.out ./...
	@go tool cover -html=.cache/cover.out -o .cache/cover.html
	@go tool cover -func=.cache/cover.out | tail -1

clean: ## remove what was built and measured
	rm -rf bin .cache bench.json
	find . -name '*.test' -type f -delete
