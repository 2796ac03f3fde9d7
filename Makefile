# make help lists what there is. Every target sets up what it needs; what is
# slow to build is kept in the user's cache folder, see test/cluster.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

TOOL    := go tool -modfile=$(CURDIR)/test/tools/go.mod
LINT    := go tool -modfile=$(CURDIR)/test/tools/lint/go.mod golangci-lint
CLUSTER := go run -C $(CURDIR)/test/cluster .
RESULTS := $(CURDIR)/bin/results
APT_GET := sh $(CURDIR)/test/tools/apt-get.sh
TEST    := $(TOOL) gotestsum --format pkgname-and-test-fails --junitfile $(RESULTS)
# ginkgo colours what it prints into a pipe too, unless it is told not to.
NO_COLOR_IN_A_PIPE = [ -t 1 ] || export GINKGO_NO_COLOR=1
# One way of compiling for all that is built here and by test/cluster: what Go's
# build cache holds of the libraries for one program serves the others. Without paths
# of the machine in it, a program is the same wherever it is built.
export CGO_ENABLED := 0
export GOFLAGS := $(strip $(filter-out -trimpath,$(GOFLAGS)) -trimpath)
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# A cluster that KUBECONFIG names is used as it is, with an image that it can
# pull (IMAGE). Without one, or when it names ours, ours is brought up: what
# make starts inherits KUBECONFIG, and may be make again.
OURS := /var/lib/lull-cluster/kubeconfig
export KUBECONFIG := $(or $(KUBECONFIG),$(OURS))
ifeq ($(KUBECONFIG),$(OURS))
OWN_CLUSTER := cluster-up
OWN_IMAGE := image
OWN_TIERS := ,disaster
OWN_PROOF := ,proof
KUBECTL = "$$($(CLUSTER) binaries kubectl)/kubectl"
WITH_KUBECTL = PATH="$$($(CLUSTER) binaries kubectl):$$PATH"
else
IMAGE ?= lull.dev/lull:dev
KUBECTL ?= kubectl
endif

##@ Start here

.PHONY: demo
demo: UP = --images=mariadb
demo: deploy ## Show the whole story on a real database, in a cluster on this machine
	@go run ./test/demo

.PHONY: test
test: ## Run every tier of tests, setting up what they need
	@go run ./test/tiers unit,integration,e2e$(OWN_PROOF),faults$(OWN_TIERS) real,models

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Cluster

# UP are flags: a target that sets them brings up, and waits for, no more than
# it needs.
.PHONY: cluster-up
cluster-up: ## Bring up the one-node Kubernetes, or repair what is missing of it (SNAPSHOTTER=8.5 for the snapshot controllers of before, in all that follows too)
	@$(CLUSTER) up $(UP)

.PHONY: cluster-down
cluster-down: ## Remove all trace of it, but what is cached
	@$(CLUSTER) down

.PHONY: kubeconfig
kubeconfig: ## Print the path of its kubeconfig (make -s kubeconfig)
	@$(CLUSTER) kubeconfig

.PHONY: deploy
deploy: $(OWN_CLUSTER) $(OWN_IMAGE) ## Install the operator into the cluster that KUBECONFIG names, or into ours (MANAGER_FLAGS for more than the manifest has)
	@image="$(IMAGE)"; \
	if [ -z "$$image" ]; then image=$$(cat bin/image.name); $(CLUSTER) load $(CURDIR)/bin/image.tar; fi; \
	$(KUBECTL) kustomize deploy | sed -e "s#lull.dev/lull:dev#$$image#" $(if $(MANAGER_FLAGS),-e 's#^\( *\)- --leader-elect$$#&$(foreach flag,$(MANAGER_FLAGS),\n\1- $(flag))#') | $(KUBECTL) apply --server-side --force-conflicts -f - >/dev/null; \
	$(KUBECTL) -n lull-system rollout status deployment/lull-manager --timeout=120s

.PHONY: undeploy
undeploy: ## Remove the operator; backups have to be deleted before
	@$(KUBECTL) delete -k deploy --ignore-not-found

##@ Test

.PHONY: test-unit
test-unit: ## Test the decisions; takes seconds
	@mkdir -p $(RESULTS)
	@SHELLS="$$(sh test/tools/unpack.sh bash busybox mksh zsh)"; export SHELLS; $(TEST)/unit.xml -- -skip '^TestManagerMayDieAnywhere$$|^TestNobodyIsEverLeftWorseOff$$|^TestAYear$$' ./api/... ./hooks/... ./snapshot/... ./restic-export/... ./controllers/... ./cmd/... ./docs/... ./test/tiers/... ./test/faults/... ./test/framework/... ./test/proof/...
	@$(TEST)/unit-failpoints.xml -- -tags=failpoints ./cmd/...
	@cd test/cluster && $(TEST)/unit-cluster.xml -- ./...

# Debian's cron is unpacked here, not installed: a machine may have another, and
# nothing of this one is to run but under the test. What it links to is in every
# Debian.
CRON := $(CURDIR)/bin/cron/usr/sbin/cron

$(CRON):
	@mkdir -p bin/cron
	@cd bin/cron && { $(APT_GET) -qq download cron 2>/dev/null || { $(APT_GET) -qq update && $(APT_GET) -qq download cron; }; }
	@dpkg-deb --extract bin/cron/cron_*.deb bin/cron

# The databases of recipes are of several versions of Debian, each in a root file
# system of its own. ON_… are those that are tried there, and WITHOUT_… those whose
# scripts are tried there without one command at a time, too, which takes minutes: one
# version for each script but MySQL's, whose server takes long to start, and with ROUNDS
# all, but for MariaDB, whose script has commands for MySQL alone.
SUITES := bookworm trixie sid
ON_bookworm := mariadb|postgresql|redis
ON_trixie := mariadb|postgresql|valkey
ON_sid := mysql|postgresql|redis
WITHOUT_bookworm := postgresql|redis
WITHOUT_trixie := $(if $(ROUNDS),postgresql|valkey,none)
WITHOUT_sid := $(if $(ROUNDS),mysql|postgresql|redis,none)

.PHONY: test-recipes
test-recipes: ## Test recipes against real databases, as root (a part of test-real; SUITES=sid for those of one version of Debian, ROUNDS=1 to take commands out of every script on every version)
	@mkdir -p $(RESULTS)
	@$(foreach suite,$(SUITES),root=$$(sh test/tools/databases/root.sh $(suite)); \
	$(TEST)/real-recipes-$(suite).xml -- -tags=real -count=1 -timeout=0 -parallel=6 -exec "sh $(CURDIR)/test/tools/databases/within.sh $$root" \
		-run '^TestRecipesHoldRealServers$$/^($(ON_$(suite)))$$|^TestRecipesNeedEachCommand$$/^($(WITHOUT_$(suite)))$$' ./hooks;)

.PHONY: test-real
test-real: $(CRON) test-recipes ## Test due times against Debian's cron, recipes against real databases, and what is kept and moved against restic and the servers of its backends (ROUNDS=10 for more of each, SEED to repeat them)
	@mkdir -p $(RESULTS)
	@restic=$$(go tool -modfile=$(CURDIR)/test/tools/restic/go.mod -n restic); \
	rest=$$(go tool -modfile=$(CURDIR)/test/tools/rest-server/go.mod -n rest-server); \
	s3=$$(go tool -modfile=$(CURDIR)/test/tools/versitygw/go.mod -n versitygw); \
	gcs=$$(go tool -modfile=$(CURDIR)/test/tools/fake-gcs-server/go.mod -n fake-gcs-server); \
	azure=$$(sh test/tools/azurite/install.sh); swift=$$(sh test/tools/swift/install.sh); mkfs=$$(sh test/tools/unpack.sh e2fsprogs xfsprogs); \
	CRON=$(CRON) MKFS="$$mkfs" RESTIC="$$restic" REST_SERVER="$$rest" VERSITYGW="$$s3" FAKE_GCS_SERVER="$$gcs" AZURITE="$$azure" SWIFT="$$swift" $(TEST)/real.xml -- -tags=real -count=1 -timeout=0 -run '^TestDueAsDebiansCronHasIt$$|^TestWhatIsKeptIsWhatResticKeeps$$|^TestTheMover|^TestRecipes' -skip '^TestRecipes/^($(ON_bookworm)|$(ON_trixie)|$(ON_sid))$$' ./hooks ./snapshot/schedule/... ./snapshot/retention/... ./cmd/mover

.PHONY: test-integration
test-integration: ## Test the controllers on a real API server, and the driver by the CSI sanity suite
	@mkdir -p $(RESULTS)
	@export KUBEBUILDER_ASSETS="$$($(CLUSTER) binaries kube-apiserver etcd)"; \
	CGO_ENABLED=1 $(TEST)/integration.xml -- -race -timeout=30m ./test/integration/...
	@cd test/csidriver && $(TEST)/integration-csidriver.xml -- ./...

# They need nothing but the processor, and leave it to the tiers beside them.
.PHONY: test-models
test-models: ## Test a restore that dies or is got in the way of at every write, and ten years of policies
	@mkdir -p $(RESULTS)
	@nice -n 19 $(TEST)/models.xml -- -timeout=30m -run '^TestManagerMayDieAnywhere$$|^TestNobodyIsEverLeftWorseOff$$|^TestAYear$$' ./controllers/... ./snapshot/policy

test-e2e test-disaster: UP = --images=mariadb,tools,servers
test-faults bench: UP = --images=mariadb,tools
# They freeze the same applications again and again, and snapshot controllers whose
# limits are lifted.
test-e2e test-proof: MANAGER_FLAGS = --min-freeze-interval=1s --snapshots-per-second=0
bench: MANAGER_FLAGS = --min-freeze-interval=0s --snapshots-per-second=0
# Versions are made, and tried, in the long form alone.
PROOF_VERSIONS := ,mariadb-11.8,mysql-9.7,postgres-17,postgres-18,valkey-8
test-proof: UP = --images=mariadb,postgres,redis$(if $(ROUNDS)$(ONLY),$(PROOF_VERSIONS))

.PHONY: test-e2e
test-e2e: deploy ## Test what users do, on the cluster (FOCUS='a regular expression' for some of it)
	@mkdir -p $(RESULTS)
	@$(NO_COLOR_IN_A_PIPE); $(WITH_KUBECTL) go tool ginkgo run --procs=$(or $(PROCS),4) --timeout=45m --poll-progress-after=120s --focus="$(FOCUS)" --output-dir=$(RESULTS) --junit-report=e2e.xml ./test/e2e

.PHONY: test-faults
test-faults: deploy ## Kill the manager at every failpoint, and more (ROUNDS=100 random rounds, SEED to repeat them)
	@go run ./test/faults -rounds=$(or $(ROUNDS),0) -seed=$(or $(SEED),0)

.PHONY: test-proof
test-proof: deploy ## Start what was backed up of databases under load, in a few layouts of their volumes (ROUNDS=100 of each database in each layout, JOURNAL=file to go on after a break, SEED to repeat them, ONLY=a part of a database's and layout's name, TABLE=docs/consistency.md to write the table there; with ROUNDS or ONLY other versions too)
	@go run ./test/proof -rounds=$(or $(ROUNDS),0) -seed=$(or $(SEED),0) -only="$(ONLY)" -side-by-side=$(or $(SIDE_BY_SIDE),2) -journal="$(JOURNAL)" -table="$(TABLE)" -junit=$(RESULTS)/proof.xml

.PHONY: test-disaster
test-disaster: $(if $(OWN_CLUSTER),deploy) ## Wipe the cluster, with all that is in it, and bring a database back in another from a repository alone (ROUNDS=1 for an etcd that is put back, too)
	@$(if $(OWN_CLUSTER),,echo "it wipes the cluster that it runs on, so it runs on ours alone: unset KUBECONFIG" >&2; exit 1)
	@mkdir -p $(RESULTS)
	@export REST_SERVER="$$(go tool -modfile=$(CURDIR)/test/tools/rest-server/go.mod -n rest-server)"; \
	$(NO_COLOR_IN_A_PIPE); $(WITH_KUBECTL) go tool ginkgo run $(if $(ROUNDS),--tags=long) --timeout=40m --poll-progress-after=180s --output-dir=$(RESULTS) --junit-report=disaster.xml ./test/disaster

.PHONY: test-upgrade
test-upgrade: UP = --images=tools
test-upgrade: $(and $(FROM),$(OWN_CLUSTER),deploy) ## Upgrade from another version of the operator while backups and restores are under way (FROM=its tag or commit)
	@$(if $(OWN_CLUSTER),,echo "it needs the image of two versions, so it runs on our cluster alone: unset KUBECONFIG" >&2; exit 1)
	@$(if $(FROM),,echo "say which version is upgraded: FROM=a tag or commit" >&2; exit 1)
	@mkdir -p $(RESULTS)
	@sh test/upgrade/versions.sh "$(FROM)" $(KUBECTL); $(CLUSTER) load $(CURDIR)/bin/upgrade/before.tar
	@$(NO_COLOR_IN_A_PIPE); go tool ginkgo run --timeout=40m --poll-progress-after=180s --output-dir=$(RESULTS) --junit-report=upgrade.xml ./test/upgrade

# The part on policies has an API server of its own, and needs no cluster.
.PHONY: bench
bench: program $(if $(filter policies,$(ONLY)),,deploy) ## Measure freeze, restore, export and ten thousand policies beside a bare snapshot, restart, restic and objects (BENCH_OUT=file for JSON, PICTURE and SCALING=file for SVGs, ONLY=export or another part for that alone, BENCH_FLAGS for more)
	@export KUBEBUILDER_ASSETS="$$($(CLUSTER) binaries kube-apiserver etcd)"; \
	$(if $(filter-out export,$(ONLY)),,rest=$$(go tool -modfile=$(CURDIR)/test/tools/rest-server/go.mod -n rest-server);) \
	go run ./test/bench -only="$(ONLY)" -rest-server="$${rest:-}" -cluster="$(if $(OWN_CLUSTER),$(CLUSTER))" $(BENCH_FLAGS) -scaling-picture="$(SCALING)" $(if $(PICTURE),-picture=$(PICTURE) -audit="$$($(CLUSTER) logs audit)")

##@ Change

.PHONY: generate
generate: ## Write the generated files: deep copies, CRDs, RBAC, the list of failpoints
	@$(TOOL) controller-gen object paths=./api/...
	@$(TOOL) controller-gen crd paths=./api/... output:crd:dir=deploy/crd
	@$(TOOL) controller-gen rbac:roleName=lull-manager paths=./controllers/... output:rbac:dir=deploy/rbac
	@go run ./test/faults/list

MODULES := . test/cluster test/cluster/programs test/cluster/provisioner test/cluster/snapshotter85 test/csidriver test/images/pause test/images/servers test/images/tools test/tools test/tools/fake-gcs-server test/tools/govulncheck test/tools/lint test/tools/rest-server test/tools/restic test/tools/versitygw

.PHONY: verify
verify: generate ## Check generated files, formatting, tidiness and lint
	@git diff --exit-code -- api deploy test/faults/failpoints.txt || { echo "generated files are out of date: run make generate and commit"; exit 1; }
	@for m in $(MODULES); do (cd $$m && go mod tidy -diff) || { echo "$$m: run go mod tidy and commit"; exit 1; }; done
	@$(MAKE) lint vulnerabilities

# The database of known vulnerabilities is asked for first: on a machine that can't
# reach it, this is said and nothing else is wrong. GOVULNDB names a copy of it.
export GOVULNDB ?= https://vuln.go.dev

.PHONY: vulnerabilities
vulnerabilities: ## Check what is shipped for known vulnerabilities, where their database can be reached (GOVULNDB=file:///a/copy)
	@if curl --fail --silent --max-time 20 --output /dev/null $(GOVULNDB)/index/db.json; then \
		go tool -modfile=test/tools/govulncheck/go.mod govulncheck ./cmd/...; \
	else echo "note: known vulnerabilities were not looked for: $(GOVULNDB) can't be reached from here"; fi

.PHONY: lint
lint: ## Lint, import directions among it
	@$(LINT) run ./api/... ./hooks/... ./snapshot/... ./restic-export/... ./controllers/... ./cmd/... ./deploy/... ./docs/... ./test/...
	@for m in test/cluster test/csidriver test/images/servers test/images/tools; do (cd $$m && $(LINT) run --config $(CURDIR)/.golangci.yaml ./...); done

# Those of the package ca-certificates, without what this machine's admin added.
# Where it isn't installed it is unpacked here.
UNPACKED := $(CURDIR)/bin/ca-certificates/usr/share/ca-certificates/mozilla
CERTIFICATES ?= $(firstword $(wildcard /usr/share/ca-certificates/mozilla) $(UNPACKED))

$(UNPACKED):
	@mkdir -p bin/ca-certificates
	@cd bin/ca-certificates && { $(APT_GET) -qq download ca-certificates 2>/dev/null || { $(APT_GET) -qq update && $(APT_GET) -qq download ca-certificates; }; }
	@dpkg-deb --extract bin/ca-certificates/ca-certificates_*.deb bin/ca-certificates

# Without grpc's tracer, which holds template packages, the linker drops methods
# that nobody calls: a third of the manager.
.PHONY: program
program: $(CERTIFICATES)
	@mkdir -p bin/image/etc/ssl/certs
	@go build -tags=grpcnotrace -ldflags="-s -w" -o bin/image/ ./cmd/manager ./cmd/mover
	@go build -modfile=test/tools/restic/go.mod -tags=grpcnotrace -ldflags="-s -w" -o bin/image/restic github.com/restic/restic/cmd/restic
	@cat $(CERTIFICATES)/*.crt >bin/image/etc/ssl/certs/ca-certificates.crt

.PHONY: image
image: program ## Build the operator's image, from the Containerfile, into bin/image.tar
	@sh test/images/lull.sh

.PHONY: clean
clean: ## Remove what was built into this checkout
	@rm -rf bin
