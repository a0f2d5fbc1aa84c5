# `make dev`, `build` and `generate` need Go and a module proxy, nothing else;
# `test` also a C compiler, for the race detector, and npm. It gets a Vault, a browser
# and an accessibility checker by itself, and `test-long` also promtool, Firefox and
# WebKit. The tools come with `go tool` from separate modules under tools/, so that
# programs that import Deskmint don't get their requirements.

SHELL := bash
.DEFAULT_GOAL := help

buf  := go tool -modfile=tools/buf/go.mod buf
# Names stay, and syntax that webviews of ten years ago have, so that the page can be read where it is served.
minify := go tool -modfile=tools/minify/go.mod minify --quiet --js-keep-var-names --js-version=2017
lint := go tool -modfile="$(CURDIR)/tools/lint/go.mod" golangci-lint

FUZZTIME ?= 30s
# Added to `make bench`; -help lists them.
BENCHFLAGS ?=
# Added to every `go test`, as in: make test TESTFLAGS='-run Page -v'
TESTFLAGS ?=

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: dev
dev: build ## Run the service with a sandbox and demo data (ARGS='--http-listen …' for more)
	@exec bin/deskmint dev $(ARGS)

.PHONY: build
build: ## Build bin/deskmint
	CGO_ENABLED=0 go build -trimpath -o bin/deskmint ./cmd/deskmint

# DESKMINT_REQUIRE makes a test that lacks its server or browser fail, which
# under a plain `go test ./...` is skipped.
# Tests wait more than they compute, so four packages run at a time whatever the number of cores.
# The longest start first.
longest := ./service ./cmd/deskmint ./service/page ./secrets/vault
.PHONY: test
test: ## Run the tests, race detector on, with a real Vault and a real browser
	@vault=$$(tools/find-vault) && chromium=$$(tools/find-chromium) && axe=$$(tools/find-axe) && set -x && \
	VAULT_BIN=$$vault CHROMIUM=$$chromium AXE=$$axe DESKMINT_REQUIRE=vault,chromium,axe \
	go test -race -p 4 -timeout 20m $(TESTFLAGS) $(longest) ./...

# The tests in files with the build tag `long`: a soak, a fleet, crowds of hostile clients, alert
# rules for real processes, the page in Firefox and WebKit.
.PHONY: test-long
test-long: ## Run the tests that take long, the same way
	@vault=$$(tools/find-vault) && chromium=$$(tools/find-chromium) && axe=$$(tools/find-axe) && \
	promtool=$$(tools/find-promtool) && firefox=$$(tools/find-firefox) && webkit=$$(tools/find-webkit) && set -x && \
	VAULT_BIN=$$vault CHROMIUM=$$chromium FIREFOX=$$firefox WEBKIT=$$webkit AXE=$$axe PROMTOOL=$$promtool \
	DESKMINT_REQUIRE=vault,chromium,firefox,webkit,axe,promtool \
	go test -race -tags long -timeout 20m -run "$$(tools/long-tests names)" $(TESTFLAGS) $$(tools/long-tests packages)

.PHONY: fuzz
fuzz: ## Run every fuzz target, each for FUZZTIME (30s)
	@tools/fuzz $(FUZZTIME)

.PHONY: bench
bench: build ## Measure a running service against a floor (BENCHFLAGS='-each 10s'): docs/performance.md
	@vault=$$(tools/find-vault) && node=$$(tools/find-node-rival) && set -x && \
	go run -C tools/bench . -deskmint ../../bin/deskmint -vault "$$vault" -node "$$node" -scale $(BENCHFLAGS)

.PHONY: microbench
microbench: ## Run Go's benchmarks, but those that take minutes (TESTFLAGS='-short=false -timeout 1h')
	@vault=$$(tools/find-vault) && set -x && \
	VAULT_BIN=$$vault go test -short -run '^$$' -bench . -benchmem $(TESTFLAGS) ./...

# Helm, Kubernetes' types and the like are in modules of their own.
.PHONY: deploy
deploy: ## Hold what is deployed and released against Helm's, Kubernetes' and other tools' rules
	go -C tools/deploy test $(TESTFLAGS) ./...
	go -C tools/release test $(TESTFLAGS) ./...
	go tool -modfile=tools/release/go.mod actionlint

.PHONY: lint
lint: .cache/proto ## Vet and lint Go, lint the contract and hold it against the last release
	$(buf) lint
	$(buf) format --diff --exit-code proto
	tools/breaking
	tools/sleeps
	go vet ./...
	go vet -tags long ./...
	$(lint) run ./...
	go -C tools vet ./...
	cd tools && $(lint) run ./...
	for dir in bench deploy release; do go -C tools/$$dir vet ./... && (cd tools/$$dir && $(lint) run ./...) || exit 1; done

.PHONY: alerts
alerts: ## Check and test the alert rules
	@promtool=$$(tools/find-promtool) && set -x && \
	$$promtool check rules deploy/prometheus/deskmint.rules.yaml && \
	$$promtool test rules deploy/prometheus/*.test.yaml

.PHONY: fmt
fmt: ## Format Go and the contract
	$(lint) fmt
	cd tools && $(lint) fmt
	for dir in bench deploy release; do (cd tools/$$dir && $(lint) fmt) || exit 1; done
	$(buf) format --write proto

.PHONY: generate
generate: .cache/generated ## Make what is made of others: Go code, the OpenAPI document, the page's style and script
	find proto -name '*.pb.go' -delete -o -name '*.pb.gw.go' -delete -o -name '*.swagger.json' -delete
	cp -R .cache/generated/proto .
	cp .cache/generated/page/* service/page

.PHONY: generated
generated: .cache/generated ## Fail if `make generate` would change something
	@diff -r -x '*.proto' -x openapi.yaml proto .cache/generated/proto \
	|| { echo 'The generated code is not what the contract says: run make generate.' >&2; exit 1; }
	@for file in .cache/generated/page/*; do diff service/page/$${file##*/} $$file \
	|| { echo 'The page has not the style or script that its sources say: run make generate.' >&2; exit 1; }; done

# Generated beside the tree and copied only when all of it worked: a fault in a
# .proto file leaves the old code, and a removed one leaves nothing behind.
.PHONY: .cache/generated
.cache/generated: .cache/proto
	rm -rf $@
	$(buf) generate --output $@
	mkdir $@/page
	$(minify) -o $@/page/page.min.css service/page/page.css
	$(minify) -o $@/page/page.min.js service/page/page.js

.PHONY: .cache/proto
.cache/proto:
	go run -C tools ./protos ../.cache/proto

.PHONY: tidy
tidy: ## Fail if `go mod tidy` would change something
	for dir in . tools tools/bench tools/buf tools/deploy tools/lint tools/minify tools/release; do go -C $$dir mod tidy -diff || exit 1; done

.PHONY: check
check: ## Do everything that CI does
	@.ci/run

.PHONY: clean
clean: ## Remove what was built, the Vault server too
	rm -rf bin .cache
