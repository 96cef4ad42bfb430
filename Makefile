# All commands for developers and CI. `make help` lists the targets.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Tools are built once, into a folder that Git ignores.
TOOLS := $(CURDIR)/.tools
GOLANGCI_LINT_VERSION := 2.15.0
GOVULNCHECK_VERSION := 1.9.0
ACTIONLINT_VERSION := 1.7.12
ALERTMANAGER_VERSION := 0.35.0
# The last version whose event recorder has the older form.
OLDER_ALERTMANAGER_VERSION := 0.34.2
# A version without an event recorder, which is in use. Debian packages an even older one.
COMPAT_ALERTMANAGER_VERSION := 0.28.1
# The comparison loads Alertmanager's own pages. This is the last version whose Go module
# contains them.
PAGES_ALERTMANAGER_VERSION := 0.31.1
# It contains the Kubernetes schemas, so that the check needs no network.
KUBECTL_VALIDATE_VERSION := 0.0.4
# The last version whose Go module contains the CRDs of the operator.
PROMETHEUS_OPERATOR_VERSION := 0.85.0
GRAFANA_VERSION := 13.2.3
TYPESCRIPT_VERSION := 5.9.3
BENCHSTAT_VERSION := v0.0.0-20260908200009-22c9c6c9d4da

GOLANGCI_LINT := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)/golangci-lint
GOVULNCHECK := $(TOOLS)/govulncheck-$(GOVULNCHECK_VERSION)/govulncheck
ACTIONLINT := $(TOOLS)/actionlint-$(ACTIONLINT_VERSION)/actionlint
ALERTMANAGER := $(TOOLS)/alertmanager-$(ALERTMANAGER_VERSION)/alertmanager
OLDER_ALERTMANAGER := $(TOOLS)/alertmanager-$(OLDER_ALERTMANAGER_VERSION)/alertmanager
COMPAT_ALERTMANAGER := $(TOOLS)/alertmanager-$(COMPAT_ALERTMANAGER_VERSION)/alertmanager
DEBIAN_ALERTMANAGER := $(TOOLS)/alertmanager-debian/alertmanager
PAGES_ALERTMANAGER := $(TOOLS)/alertmanager-$(PAGES_ALERTMANAGER_VERSION)/alertmanager
KUBECTL_VALIDATE := $(TOOLS)/kubectl-validate-$(KUBECTL_VALIDATE_VERSION)/kubectl-validate
CRDS := $(TOOLS)/crds-$(PROMETHEUS_OPERATOR_VERSION)
GRAFANA_TYPES := $(TOOLS)/grafana-types-$(GRAFANA_VERSION)
TYPESCRIPT := $(TOOLS)/typescript-$(TYPESCRIPT_VERSION)
BENCHSTAT := $(TOOLS)/benchstat-$(BENCHSTAT_VERSION)/benchstat

# The vulnerability database of govulncheck. A file:// URL works offline.
VULNDB ?= https://vuln.go.dev
ARGS ?=
BENCH ?= .
FUZZTIME ?= 30s
COUNT ?= 1
RUNS ?= 7

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
BRANCH ?= $(shell git rev-parse --abbrev-ref HEAD 2>/dev/null || echo unknown)
PROM_VERSION := github.com/prometheus/common/version
# Functions begin at multiples of 16 bytes, as compilers of C align them. With the 32 of Go on
# amd64, the binary is 0.4 MB larger, and not faster.
LDFLAGS := -s -w -funcalign=16 \
	-X $(PROM_VERSION).Version=$(VERSION) \
	-X $(PROM_VERSION).Revision=$(REVISION) \
	-X $(PROM_VERSION).Branch=$(BRANCH)
# Without this tag, gin links a MessagePack codec of 6 MB.
TAGS := nomsgpack
# go-redis has three methods for each command. Without inlining them into each other,
# the binary is 2 MB smaller, and commands are not slower. The other packages work at the
# start, at a scrape, a poll or a new connection, or not at all. Without inlining in them,
# the binary is 1.1 MB smaller. A TLS handshake takes the same CPU time.
NOT_INLINED := github.com/redis/go-redis/v9 github.com/redis/go-redis/v9/... \
	google.golang.org/protobuf/... gopkg.in/yaml.v3 go.yaml.in/yaml/... github.com/pelletier/... \
	github.com/go-playground/... github.com/leodido/... github.com/alecthomas/... github.com/gabriel-vasile/... \
	golang.org/x/net/... golang.org/x/text/... encoding/xml \
	github.com/prometheus/common/... golang.org/x/oauth2/... github.com/golang-jwt/... github.com/google/uuid github.com/mwitkow/... \
	crypto/tls crypto/x509 math/big encoding/asn1 text/template/parse regexp/syntax net/http/pprof runtime/pprof internal/profile mime/multipart
GCFLAGS := $(foreach package,$(NOT_INLINED),-gcflags '$(package)=-l')

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: muster muster-mcp ## build ./muster and ./muster-mcp

.PHONY: muster
muster: ## build ./muster
	CGO_ENABLED=0 go build -trimpath -tags $(TAGS) $(GCFLAGS) -ldflags '$(LDFLAGS)' -o muster .

.PHONY: muster-mcp
muster-mcp: ## build ./muster-mcp, the program for assistants
	CGO_ENABLED=0 go build -trimpath -tags $(TAGS) $(GCFLAGS) -ldflags '$(LDFLAGS)' -o muster-mcp ./cmd/muster-mcp

.PHONY: run
run: muster ## build and start Muster on :9095; ARGS='--redis.url=…' adds flags
	./muster $(ARGS)

.PHONY: demo
demo: build $(ALERTMANAGER) ## run a real Alertmanager, Muster and a story of alerts, until Ctrl-C
	go build -o $(TOOLS)/demo ./examples/demo
	@# With exec, a signal reaches the demo, which then stops the other programs.
	@exec $(TOOLS)/demo -alertmanager $(ALERTMANAGER) -muster ./muster $(ARGS)

.PHONY: test
test: test-tools ## run all tests with the race detector; SHORT=1 skips those with a real Redis, Alertmanager, browser or Python
	@# Tests with servers mostly wait, so more of them run at the same time than there
	@# are cores. What takes longest comes first. Vet runs in lint. With the race detector,
	@# a program waits a second before it exits, for other goroutines. A tenth is enough,
	@# because Muster has waited for its goroutines before. e2e stops it often.
	GORACE=atexit_sleep_ms=100 go test -race -vet=off -shuffle=on -count=$(COUNT) -tags $(TAGS) -timeout 25m -p 3 -parallel 8 \
		$(LONGEST) $(filter-out $(LONGEST),$(shell go list -tags $(TAGS) ./...))

LONGEST := muster/e2e muster/e2e/browser muster/storage muster/storage/redis muster/storage/file \
	muster/templates muster/api muster/receiver

.PHONY: test-tools
test-tools: ## install the programs that the tests need
ifneq ($(SHORT),1)
	./scripts/install.sh redis-server redis-server
	./scripts/install.sh chromium chromium
	./scripts/install.sh python3 python3
	@$(MAKE) --no-print-directory $(ALERTMANAGER) $(OLDER_ALERTMANAGER)
endif

.PHONY: test-compat
test-compat: $(COMPAT_ALERTMANAGER) $(DEBIAN_ALERTMANAGER) ## run the tests of notifications and polls with older versions of Alertmanager
	for path in $^; do ALERTMANAGER_DIR=$$(dirname $$path) go test -race -vet=off -count=1 -tags $(TAGS) -timeout 14m -parallel 4 \
		-run '^(TestCauses|TestSilence|TestResolvedUnderSilence|TestAmtool)$$' ./e2e; done

.PHONY: check-examples
check-examples: $(ALERTMANAGER) $(OLDER_ALERTMANAGER) $(KUBECTL_VALIDATE) $(CRDS) $(GRAFANA_TYPES) $(TYPESCRIPT) ## check the examples with promtool, amtool and similar tools, and with a running Muster
	./scripts/install.sh promtool prometheus
	./scripts/install.sh systemd-analyze systemd
	$(dir $(ALERTMANAGER))amtool check-config examples/alertmanager.yml
	$(dir $(OLDER_ALERTMANAGER))amtool check-config examples/alertmanager-0.34.yml
	promtool check rules examples/alerts.yml
	promtool test rules examples/check/alerts_test.yml
	node examples/check/dashboard.mjs $(GRAFANA_TYPES) $(TYPESCRIPT) examples/grafana/muster.json
	node examples/check/dashboard.mjs $(GRAFANA_TYPES) $(TYPESCRIPT) examples/grafana/muster-history.json
	cd examples/check && AMTOOL=$(dir $(ALERTMANAGER))amtool KUBECTL_VALIDATE=$(KUBECTL_VALIDATE) CRDS=$(CRDS) \
		go test -count=1 -timeout 5m ./...

# If PLATFORMS is empty, build for the platform of this machine and load the image.
PLATFORMS ?=
# Additional flags of docker buildx build, such as --push.
IMAGE_FLAGS ?=
.PHONY: image
image: ## build the image muster; PLATFORMS=linux/amd64,linux/arm64 selects platforms
	docker buildx build $(if $(PLATFORMS),--platform $(PLATFORMS),--load --tag muster) \
		--build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) $(IMAGE_FLAGS) .

.PHONY: check-image
check-image: image ## check that the image starts without any privileges
	docker run --rm --read-only --cap-drop=ALL --security-opt=no-new-privileges --network=none muster --version

.PHONY: lint
lint: $(GOLANGCI_LINT) $(GOVULNCHECK) $(ACTIONLINT) $(TYPESCRIPT) ## run all linters: golangci-lint, go mod tidy, govulncheck, actionlint, TypeScript
	$(ACTIONLINT)
	node $(TYPESCRIPT)/bin/tsc --project templates/tsconfig.json
	go mod tidy -diff
	cd examples/check && go mod tidy -diff
	cd bench/floors && go mod tidy -diff
	$(GOLANGCI_LINT) run
	cd examples/check && $(GOLANGCI_LINT) run
	cd bench/floors && $(GOLANGCI_LINT) run
	$(GOVULNCHECK) -db $(VULNDB) -tags $(TAGS) -test ./...

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## format the code
	$(GOLANGCI_LINT) fmt

.PHONY: cover
cover: test-tools ## print the coverage per package
	@# e2e runs Muster in separate processes, which are not measured.
	go test -p 1 -tags $(TAGS) -coverprofile=coverage.out -coverpkg=./api,./grouping,./pages,./receiver,./storage/...,./templates,./web \
		$(filter-out muster/e2e%,$(shell go list -tags $(TAGS) ./...)) >coverage.log \
		|| { cat coverage.log; exit 1; }
	@# A block occurs once for each package that tests it.
	@awk 'NR > 1 { size[$$1] = $$2; if ($$3 > 0) hit[$$1] = 1 } \
		END { for (b in size) { p = b; sub("/[^/]*$$", "", p); all[p] += size[b]; if (b in hit) run[p] += size[b] } \
			for (p in all) printf "%-24s %5.1f%%\n", p, 100 * run[p] / all[p] }' coverage.out | sort
	@go tool cover -func=coverage.out | tail -n 1

# The programs that make bench measures beside Muster.
BENCH_TOOLS := $(TOOLS)/bench
.PHONY: bench-tools
bench-tools:
	./scripts/install.sh redis-server redis-server
	cd bench/floors && CGO_ENABLED=0 go build -trimpath -tags $(TAGS) -o $(BENCH_TOOLS)/floors .
	go build -o $(BENCH_TOOLS)/bench ./bench

# A regular expression that selects goals of make bench. `.tools/bench/bench -list` lists them.
RUN ?=
# A folder for CPU profiles of Muster.
PROFILE ?=
.PHONY: bench
bench: build bench-tools $(ALERTMANAGER) ## measure Muster beside floors and goals; RUN=regexp selects rows, ROUNDS=5, PROFILE=folder saves CPU profiles
	$(BENCH_TOOLS)/bench -head ./muster -floors $(BENCH_TOOLS)/floors -alertmanager $(ALERTMANAGER) \
		-run '$(RUN)' -rounds $(or $(ROUNDS),5) -profile '$(PROFILE)'

.PHONY: bench-go
bench-go: ## run the Go benchmarks; BENCH=regexp selects some
	go test -tags $(TAGS) -run '^$$' -bench '$(BENCH)' -benchmem ./...

# Not part of `make test`, because its times need an idle machine.
.PHONY: compare
compare: build $(PAGES_ALERTMANAGER) ## compare Muster's list with Alertmanager's page, with RUNS=7 loads of each; screenshots are in .tools/compare
	./scripts/install.sh chromium chromium
	MUSTER=$(CURDIR)/muster ALERTMANAGER=$(PAGES_ALERTMANAGER) COMPARE_RUNS=$(RUNS) COMPARE_PICTURES=$(TOOLS)/compare \
		go test -v -tags $(TAGS),compare -run '^TestCompare$$' -count=1 -timeout 40m ./e2e/browser

# The commit to compare with in bench-compare.
BASE ?= HEAD
BENCH_DIR := $(TOOLS)/bench-compare
.PHONY: bench-compare
bench-compare: build bench-tools $(BENCHSTAT) ## compare this tree with BASE=<commit>, with ROUNDS=10 measurements of each row; RUN=regexp selects rows
	rm -rf $(BENCH_DIR) && mkdir -p $(BENCH_DIR)/source
	git archive $(BASE) | tar x -C $(BENCH_DIR)/source
	cd $(BENCH_DIR)/source && CGO_ENABLED=0 go build -trimpath -tags $(TAGS) $(GCFLAGS) -ldflags '-s -w -funcalign=16' -o ../muster-base .
	$(BENCH_TOOLS)/bench -base $(BENCH_DIR)/muster-base -head ./muster -out $(BENCH_DIR) -rounds $(or $(ROUNDS),10) -run '$(RUN)'
	cd $(BENCH_DIR) && $(BENCHSTAT) base.txt head.txt

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME
	@grep -rlE '^func Fuzz' --include=*_test.go . | while read -r file; do \
		for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9]+).*/\1/p' $$file); do \
			go test -tags $(TAGS) -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x ./$$(dirname $$file) </dev/null; \
		done; \
	done

.PHONY: screenshots
screenshots: build ## take the screenshots in docs/screenshots with muster --demo
	./scripts/screenshots.sh

# axe-core checks the accessibility of pages. It is part of a test, not of Muster. Its
# licence, MPL-2.0, is in the same folder.
AXE_VERSION := 4.14.1
.PHONY: vendor-axe
vendor-axe: ## download axe-core for the browser tests
	cd e2e/browser/testdata && npm pack --silent axe-core@$(AXE_VERSION) >/dev/null && \
		tar xzf axe-core-$(AXE_VERSION).tgz --strip-components=1 package/axe.min.js package/LICENSE && \
		mv LICENSE axe-core-LICENSE && rm axe-core-$(AXE_VERSION).tgz

.PHONY: clean
clean: ## remove all build results
	rm -rf muster muster-mcp coverage.out coverage.log $(TOOLS)

$(GOLANGCI_LINT):
	GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(GOLANGCI_LINT_VERSION)

$(GOVULNCHECK):
	GOBIN=$(@D) go install golang.org/x/vuln/cmd/govulncheck@v$(GOVULNCHECK_VERSION)

$(ACTIONLINT):
	GOBIN=$(@D) go install github.com/rhysd/actionlint/cmd/actionlint@v$(ACTIONLINT_VERSION)

$(BENCHSTAT):
	GOBIN=$(@D) go install golang.org/x/perf/cmd/benchstat@$(BENCHSTAT_VERSION)

$(KUBECTL_VALIDATE):
	GOBIN=$(@D) go install sigs.k8s.io/kubectl-validate@v$(KUBECTL_VALIDATE_VERSION)

$(CRDS):
	rm -rf $@.new && mkdir -p $(@D)
	cp -r "$$(go mod download -json github.com/prometheus-operator/prometheus-operator@v$(PROMETHEUS_OPERATOR_VERSION) \
		| sed -n 's/^\t"Dir": "\(.*\)".*/\1/p')/example/prometheus-operator-crd" $@.new
	chmod -R u+w $@.new
	mv $@.new $@

$(GRAFANA_TYPES):
	./scripts/install.sh npm npm
	rm -rf $@.new && mkdir -p $@.new/grafana-schema
	cd $@.new && npm pack --silent @grafana/schema@$(GRAFANA_VERSION) >/dev/null
	tar xzf $@.new/grafana-schema-*.tgz --strip-components=1 -C $@.new/grafana-schema
	mv $@.new $@

$(TYPESCRIPT):
	./scripts/install.sh npm npm
	rm -rf $@.new && mkdir -p $@.new
	cd $@.new && npm pack --silent typescript@$(TYPESCRIPT_VERSION) >/dev/null
	tar xzf $@.new/typescript-*.tgz --strip-components=1 -C $@.new
	rm $@.new/typescript-*.tgz
	mv $@.new $@

$(DEBIAN_ALERTMANAGER):
	./scripts/install.sh prometheus-alertmanager prometheus-alertmanager
	mkdir -p $(@D)
	ln -sf "$$(command -v amtool)" $(@D)/amtool
	ln -sf "$$(command -v prometheus-alertmanager)" $@

$(TOOLS)/alertmanager-%/alertmanager:
	./scripts/build-alertmanager.sh $* $(@D)
