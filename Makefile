# The targets that people and CI use. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The embedded cluster's Kubernetes: K8S=1.36 chooses an older minor version,
# with the modules of test/cluster/go.k8s-1.36.mod.
K8S_NEWEST := 1.37
K8S_OLDER := $(patsubst test/cluster/go.k8s-%.mod,%,$(wildcard test/cluster/go.k8s-*.mod))
K8S ?= $(K8S_NEWEST)
ifeq (,$(filter $(K8S),$(K8S_OLDER) $(K8S_NEWEST)))
$(error K8S=$(K8S): want one of $(K8S_OLDER) $(K8S_NEWEST))
endif

# The linter, and the release.
GOLANGCI_VERSION := v2.15.0
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

BIN := $(CURDIR)/bin
TOOLS := $(CURDIR)/.tools
CLUSTER_DIR ?= $(CURDIR)/.cluster
CLUSTER := $(BIN)/fluxjob-cluster$(addprefix -,$(filter-out $(K8S_NEWEST),$(K8S)))
CLUSTER_MOD := go$(addprefix .k8s-,$(filter-out $(K8S_NEWEST),$(K8S))).mod
K8S_VERSION := $(shell awk '$$1 == "k8s.io/kubernetes" { print $$2 }' test/cluster/$(CLUSTER_MOD))
K8S_VERSION_PARTS := $(subst ., ,$(patsubst v%,%,$(K8S_VERSION)))
# Leaves out 17 MB of Google's storage client, which sops brings and nobody calls.
TAGS := disable_grpc_modules
VERSION_PKG := k8s.io/component-base/version
CLUSTER_LDFLAGS := -s -w -X $(VERSION_PKG).gitVersion=$(K8S_VERSION) -X $(VERSION_PKG).gitMajor=$(word 1,$(K8S_VERSION_PARTS)) -X $(VERSION_PKG).gitMinor=$(word 2,$(K8S_VERSION_PARTS))

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

.PHONY: build
build: ## Build bin/kubectl-fluxjob
	@echo "building bin/kubectl-fluxjob (the first time takes 2 to 4 minutes on 2 cores)"
	go build -tags $(TAGS) -ldflags "-s -w -X github.com/fluxjob/kubectl-fluxjob/pkg/cmd.Version=$(VERSION)" -o $(BIN)/kubectl-fluxjob ./cmd/kubectl-fluxjob

.PHONY: cluster
cluster: ## Build bin/fluxjob-cluster, the embedded Kubernetes; K8S=1.36 builds bin/fluxjob-cluster-1.36
	@echo "building $(CLUSTER:$(CURDIR)/%=%): Kubernetes $(K8S_VERSION) from Go modules (the first time takes 5 to 10 minutes on 2 cores)"
	go build -C test/cluster -modfile=$(CLUSTER_MOD) -ldflags "$(CLUSTER_LDFLAGS)" -o $(CLUSTER) .

.PHONY: controller
controller: # bin/kustomize-controller, the oracle of the conformance tests
	@echo "building bin/kustomize-controller (the first time takes 3 to 5 minutes on 2 cores)"
	go -C test/flux mod download github.com/fluxcd/kustomize-controller github.com/fluxcd/source-controller
	go build -C test/flux -o $(BIN)/kustomize-controller github.com/fluxcd/kustomize-controller

.PHONY: cluster-up
cluster-up: cluster ## Start the embedded Kubernetes in the background; its kubeconfig is .cluster/kubeconfig
	$(CLUSTER) up --dir $(CLUSTER_DIR)

.PHONY: cluster-down
cluster-down: cluster ## Stop the embedded Kubernetes
	$(CLUSTER) down --dir $(CLUSTER_DIR)

.PHONY: demo
demo: build cluster ## Show plan and apply on the embedded Kubernetes, and leave nothing behind
	FLUXJOB_CLUSTER_BIN=$(CLUSTER) test/scripts/demo.sh

.PHONY: test
test: build cluster controller ## Run all tests, on the embedded Kubernetes and beside the real kustomize-controller
	FLUXJOB_BIN=$(BIN)/kubectl-fluxjob FLUXJOB_CLUSTER_BIN=$(CLUSTER) FLUXJOB_CONTROLLER_BIN=$(BIN)/kustomize-controller go test -count=1 -timeout 30m ./...
	go test -C test/cluster -modfile=$(CLUSTER_MOD) -timeout 20m -ldflags "$(CLUSTER_LDFLAGS)" ./...

.PHONY: test-versions
test-versions: build controller ## Run the conformance tests and random Jobs on each Kubernetes from 1.34 on: three quarters of an hour, not in CI
	@failed=0; for k8s in $(K8S_NEWEST) $(K8S_OLDER); do $(MAKE) -s test-version K8S=$$k8s || failed=1; done; exit $$failed

.PHONY: test-version
test-version: cluster
	go mod -C test/cluster tidy -diff -modfile=$(CLUSTER_MOD)
	FLUXJOB_BIN=$(BIN)/kubectl-fluxjob FLUXJOB_CLUSTER_BIN=$(CLUSTER) FLUXJOB_CONTROLLER_BIN=$(BIN)/kustomize-controller test/scripts/test-version.sh

.PHONY: golden
golden: ## Rewrite the golden files of the tests
	UPDATE_GOLDEN=1 go test ./pkg/...

.PHONY: fmt
fmt: $(TOOLS)/golangci-lint ## Format all Go files
	$(TOOLS)/golangci-lint fmt
	cd test/cluster && $(TOOLS)/golangci-lint fmt --config $(CURDIR)/.golangci.yml

.PHONY: check
check: check-format vet tidy lint test ## All that CI checks

.PHONY: check-format
check-format: $(TOOLS)/golangci-lint
	$(TOOLS)/golangci-lint fmt --diff
	cd test/cluster && $(TOOLS)/golangci-lint fmt --diff --config $(CURDIR)/.golangci.yml

.PHONY: vet
vet:
	go vet ./...
	go vet -C test/cluster ./...

.PHONY: tidy
tidy: ## Check that go.mod and go.sum are tidy
	go mod tidy -diff
	go mod -C test/cluster tidy -diff

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## Run the linters
	$(TOOLS)/golangci-lint run ./...
	cd test/cluster && $(TOOLS)/golangci-lint run --config $(CURDIR)/.golangci.yml ./...

$(TOOLS)/golangci-lint: Makefile
	@echo "building golangci-lint $(GOLANGCI_VERSION) (the first time takes 3 to 5 minutes on 2 cores)"
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@touch $@

.PHONY: dist
dist: ## Build the release archives into dist/ and plugins.yaml from them; set VERSION
	test/scripts/dist.sh $(VERSION)

.PHONY: clean
clean: ## Remove what was built, and stop the embedded Kubernetes
	@for cluster in $(wildcard $(BIN)/fluxjob-cluster*); do $$cluster down --dir $(CLUSTER_DIR); done
	rm -rf $(BIN) $(TOOLS) $(CLUSTER_DIR) dist
