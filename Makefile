# make help tells what there is. Everything is made in .venv; nothing is installed elsewhere,
# but by root: `make bench` the tools it compares with, `make test` shells, faketime and strace, all from Debian.
# `make test PYTHON=python3.13` (any target) works with that Python in .venv-3.13, beside .venv.

ifdef PYTHON
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENV := .venv-$(or $(VERSION),$(error PYTHON=$(PYTHON): there is no such Python))
else
PYTHON := python3
VENV := .venv
endif
BIN := $(VENV)/bin
PORT ?= 8642
S3_PORT ?= 8643
ARGS ?=
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# make run: the demo, or the real thing if URLS is given. What make says goes to stderr, beside what scraper
# says; stdout is for ARGS='--results -'. Where stderr is no terminal, there is no line for each URL.
DEMO_LIST := $(if $(filter 8642,$(PORT)),urls.example.txt,build/urls.$(PORT).txt)
FETCH := $(BIN)/scraper $(DEMO_LIST) -i http://127.0.0.1:$(PORT)/urls.txt --max-failures 1 $$quiet $(ARGS)
define DEMO
test -t 2 || quiet=-q
echo "1 of 2: a list of 370 URLs of a site on loopback, into ./out" >&2
$(FETCH) --to ./out
echo "2 of 2: the same list into an S3 bucket on loopback, s3://demo/pages" >&2
$(FETCH) --to s3://demo/pages
cat >&2 <<-END

The failure is meant, one in each run: the list has a page that is not there (HTTP 404).
The bodies are in ./out, each in a file named after its URL. The bucket is gone with the demo.

Look:  ls out/127.0.0.1_http_$(PORT)
       head -n 1 out/.scraper/manifest.jsonl    what became of each line
       $(BIN)/scraper failed out             what failed
       $(BIN)/scraper verify out             whether all of it is there
Next:  make run                                 again: only what has changed is stored
       make run URLS=mine.txt TO=./mine         a list of yours
       $(BIN)/scraper --help
       README.md, docs/                         ten tasks, and everything else
END
endef
export DEMO

# make cluster-demo: twelve hosts of the demo site, 20 pages each, three workers of two shards at once. Worker 1 is
# killed when the first 60 pages are there.
DASK_PORT ?= 8786
define CLUSTER_DEMO
rm -rf build/cluster && mkdir -p build/cluster
for host in 1 2 3 4 5 6 7 8 9 10 11 12; do for page in 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20; do
  echo "http://site$$host.example:$(PORT)/articles/00$$page.html"; done; done > build/cluster/urls.txt
echo "a scheduler and three workers on this machine; their logs are in build/cluster" >&2
dask scheduler --host 127.0.0.1 --port $(DASK_PORT) --no-dashboard --no-show > build/cluster/scheduler.log 2>&1 & running=$$!
trap 'kill -9 $$running 2>/dev/null || :; wait || :' EXIT
for number in 1 2 3; do
  dask worker tcp://127.0.0.1:$(DASK_PORT) --nthreads 2 --no-nanny --no-dashboard --memory-limit 0 --name worker-$$number \
    --local-directory build/cluster/$$number > build/cluster/worker-$$number.log 2>&1 & running="$$running $$!"
  test $$number != 1 || first=$$!
done
until [ "$$(grep -c 'Register worker' build/cluster/scheduler.log)" = 3 ]; do sleep 0.1; done
{ until [ "$$(find build/cluster/out -name '*.html' 2>/dev/null | wc -l)" -ge 60 ]; do sleep 0.1; done
  kill -9 $$first; echo "-- worker 1 was killed --" >&2; } &
scraper build/cluster/urls.txt --to build/cluster/out --resolve '*:$(PORT):127.0.0.1' --delay 0.2 --stats 1 \
  --cluster tcp://127.0.0.1:$(DASK_PORT) $(ARGS)
scraper status build/cluster/out
scraper verify build/cluster/out
endef
export CLUSTER_DEMO

# What pip installs, named while it does: the first time takes a minute or so.
define INSTALL
echo 'installing into $(VENV), from the package index (a minute or so, once):'; rm -f $(VENV)/.failed; \
  { $(BIN)/python -m pip --disable-pip-version-check install --progress-bar off -e '.[$(EXTRAS)]' || touch $(VENV)/.failed; } | \
  awk '/^Collecting/ { sub(/[^A-Za-z0-9._-].*/, "", $$2); printf " %s", $$2; fflush() } \
       /^Installing collected/ { print ""; print "unpacking them ..."; fflush() }'; \
  test ! -e $(VENV)/.failed
endef

# Tools of Debian that make bench compares with; shells that make test completes in, what gives it wrong clocks and
# system calls that fail, jq for examples, and programs whose lists it reads. They are installed by root alone. Without root
# they are left out: the table of bench names them, tests are skipped and say why.
OPPONENTS := nginx-light libnginx-mod-http-echo wget2 aria2 curl
SHELLS := zsh fish
FAULTS := faketime strace jq
PEERS := aria2 wget2
define FROM_DEBIAN
if [ "$$(id -u)" = 0 ] && command -v dpkg >/dev/null && command -v apt-get >/dev/null; then \
	  missing=$$(for package in $(1); do dpkg -s $$package >/dev/null 2>&1 || echo $$package; done); \
	  if [ -n "$$missing" ]; then echo "installing from Debian:" $$missing; \
	    { timeout 60 apt-get -qq update && DEBIAN_FRONTEND=noninteractive timeout 300 apt-get -qq install --no-install-recommends $$missing; } >/dev/null 2>&1 \
	      || echo 'that did not work: they are left out' >&2; fi; fi
endef

# make audit: pip-audit asks PyPI's JSON interface (ARGS='-s osv': OSV), which a mere package index does not
# have; then it tells of no holes. So it is asked of a version that has some first.
AUDIT = $(VENV)/audit/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off $(ARGS)
HAS_HOLES := requests==2.19.0
AS_LINES := import json, sys; found = [one["metadata"] for one in json.load(sys.stdin)["install"]]; \
	print(*(one["name"] + "==" + one["version"] for one in found if one["name"] != "scraper"), sep="\n")

.PHONY: help run cluster-demo test lint types docs bench audit stores wheel clean

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do printf '  make %-12s %s\n' "$$name" "$$what"; done

run: $(VENV)/.demo ## fetch the demo site into ./out and an S3 bucket; or URLS=list TO=destination
ifdef URLS
	$(BIN)/scraper $(URLS) --to $(or $(TO),./out) $(ARGS)
else
	@[ -e $(DEMO_LIST) ] || { mkdir -p build && $(BIN)/scraper demo --port $(PORT) --write-list > $(DEMO_LIST); }
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/scraper demo --port $(PORT) --s3-port $(S3_PORT) -- sh -ec "$$DEMO"
endif

test: $(VENV)/.dev ## lint, types and all tests; with another Python: PYTHON=python3.13
	@echo "testing with $$($(BIN)/python -V) of $(VENV)"
	@$(MAKE) --no-print-directory lint types
	@$(call FROM_DEBIAN,$(SHELLS) $(FAULTS) $(PEERS))
	@if [ -n "$$CI" ]; then rm -rf dist && $(BIN)/python -m build --wheel --no-isolation --outdir dist . >/dev/null && $(PIP) install --force-reinstall --no-deps dist/*.whl && echo "testing the wheel: $$(ls dist)"; fi
	@$(BIN)/python -m pytest -n 4 --maxschedchunk 2 $(ARGS)

cluster-demo: $(VENV)/.dev ## a scheduler, three workers, one of them killed, on the demo site
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/scraper demo --port $(PORT) --s3-port $(S3_PORT) -- sh -ec "$$CLUSTER_DEMO"

lint: $(VENV)/.dev ## ruff
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet . && echo 'ruff: clean'

types: $(VENV)/.dev ## mypy, strict
	@$(BIN)/mypy

docs: $(VENV)/.dev ## build the pages of docs/ into build/docs; a broken link is an error
	@$(BIN)/python -m tests.reference
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict -f - < docs/mkdocs.yml && echo 'docs: build/docs/index.html'

bench: $(VENV)/.dev ## compare with other tools, side by side; ARGS=--full for an hour of it
	@$(call FROM_DEBIAN,$(OPPONENTS))
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.bench $(ARGS)

audit: $(VENV)/.audit ## known holes of what is installed with us; needs a network
	@echo '$(HAS_HOLES)' > $(VENV)/audit/canary.txt; \
	  said=$$($(AUDIT) -r $(VENV)/audit/canary.txt 2>&1); case "$$said" in *'Found '*' known vulnerabilit'*) ;; \
	  *) echo "$$said" | tail -n 1 >&2; echo 'audit: nothing was audited: who knows of holes can not be asked from here' >&2; exit 1;; esac
	@$(PIP) install --dry-run --ignore-installed --report - '.[fast]' | $(BIN)/python -c '$(AS_LINES)' > $(VENV)/audit/installed.txt
	@$(AUDIT) -r $(VENV)/audit/installed.txt && echo "audit: $$(wc -l < $(VENV)/audit/installed.txt) packages"

wheel: $(VENV)/.dev ## build dist/*.whl
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist .

# radosgw from Debian, s3rver and Azurite from npm, LocalStack from PyPI (it needs Python 3.13, and these pins: unpinned it
# stops). What can't be had here is left out; tests are skipped and say why.
LOCALSTACK := localstack-core[runtime]==2026.3.0 cbor2<6 pyopenssl==24.2.1 cryptography==43.0.3 service_identity==24.1.0

stores: ## servers of stores for tests, into build/: radosgw, s3rver, LocalStack, Azurite
	@mkdir -p build/ceph/debs/partial build/npm
	@apt-get -qq -y --no-install-recommends --download-only -o Debug::NoLocking=1 -o Dir::Cache::archives=$(CURDIR)/build/ceph/debs \
	  install radosgw ceph-mon ceph-osd >/dev/null && \
	  for package in build/ceph/debs/*.deb; do dpkg -x $$package build/ceph; done && echo 'radosgw: build/ceph' || echo 'no radosgw: it is from Debian' >&2
	@npm install --silent --no-audit --no-fund --prefix build/npm s3rver@3.7.1 && echo 's3rver: build/npm' || echo 'no s3rver: it needs npm' >&2
	@npm install --silent --no-audit --no-fund --prefix build/npm azurite@3.37.0 && echo 'Azurite: build/npm' || echo 'no Azurite: it needs npm' >&2
	@python3.13 -m venv build/localstack && build/localstack/bin/pip install -q $(foreach one,$(LOCALSTACK),'$(one)') && \
	  echo 'LocalStack: build/localstack' || { rm -rf build/localstack; echo 'no LocalStack: it needs python3.13' >&2; }

clean: ## remove what make has made
	rm -rf .venv .venv-* out dist build .pytest_cache .mypy_cache .ruff_cache

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'scraper needs Python 3.11 or later: make PYTHON=python3.12 ...' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "no venv module: on Debian, apt install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.demo: EXTRAS := demo,fast
$(VENV)/.demo: $(VENV)/.python pyproject.toml
	@[ -e $(VENV)/.dev ] || { $(INSTALL); }
	@touch $@

$(VENV)/.audit: $(VENV)/.python
	@$(PYTHON) -m venv $(VENV)/audit && $(VENV)/audit/bin/python -m pip --quiet --disable-pip-version-check install 'pip-audit>=2.7'
	@touch $@

$(VENV)/.dev: EXTRAS := dev
$(VENV)/.dev: $(VENV)/.python pyproject.toml
	@$(INSTALL)
	@touch $@
