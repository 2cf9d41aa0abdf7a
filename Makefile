# make run     set-up and the relay with its web page, on http://localhost:8080/ (make run PORT=9000)
# make test    set-up and everything that is checked: lint, types, known holes in what is installed,
#              pytest, trial, the lowest versions
#              (make test JOBS=4: so many tests at a time, 2 if not told)
# make simulate  whole networks on virtual time, with faults (make simulate SEEDS=10000)
# make fuzz      what a peer can send, in any order (make fuzz EXECUTIONS=10000000)
# make bench   speed and memory beside other systems, for docs/performance.md (BENCH=--quick: a look)
# make soak    tabs come and go at a relay, and nothing may stay of them (make soak MINUTES=30)
# make docs    the documentation, as HTML in docs/_build
# make format  puts the sources into the form that make lint wants
# make clean   removes what the others made
#
# Set-up needs Python 3.11 or newer with venv, for the JavaScript tests Node 20 with npm, and for those
# in a browser Chromium. As root on Debian it installs what is missing; otherwise it names it.
# Another Python: make PYTHON=python3.13. Another Chromium: make CHROMIUM=/opt/chromium/chrome

PYTHON ?= python3
PORT ?= 8080
CHROMIUM ?= chromium
export CHROMIUM
SEEDS ?= 1000
EXECUTIONS ?= 1000000
JOBS ?= 2
BENCH ?= --docs
MINUTES ?= 3
SOAK ?=

VENV := .venv
LOWEST := .venv-lowest
RIVALS := .venv-bench
JS := tests/js
SOURCES := distmap tests twisted docs benchmarks

# Environments are made anew when PYTHON is another version, and brought up to date when these change.
WHICH_VERSION := $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'
VERSION := $(shell $(WHICH_VERSION) 2>/dev/null)
METADATA := setup.cfg pyproject.toml
PIP_INSTALL := bin/python -m pip install --quiet --disable-pip-version-check

.PHONY: run simulate fuzz soak bench test lint format pytest trial test-lowest docs setup \
  chromium systemd proxies clean
.NOTPARALLEL:

run: $(VENV)/.run
	$(VENV)/bin/twistd --nodaemon --pidfile= distmap --port $(PORT)

test: lint pytest trial test-lowest

lint: $(VENV)/.test
	$(VENV)/bin/ruff check $(SOURCES)
	$(VENV)/bin/ruff format --check $(SOURCES)
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m tests.support.audit

format: $(VENV)/.test
	$(VENV)/bin/ruff check --fix $(SOURCES)
	$(VENV)/bin/ruff format $(SOURCES)

pytest: setup
	$(VENV)/bin/python -m pytest -n $(JOBS)

# These take long and tell nothing of the runner or of the lowest versions, so pytest alone runs them.
ONCE := $(addprefix tests/test_, benchmarks.py chromium.py crowd.py docker.py docs.py fuzz.py \
  node.py npm_package.py page.py page_access.py proxy_servers.py simulation.py soak.py systemd.py \
  turns.py)

# The same tests as Twisted's own runner takes them; skips are judged by pytest (tests/conftest.py).
trial: setup
	$(VENV)/bin/trial -j $(JOBS) $(filter-out $(ONCE),$(wildcard tests/test_*.py))

test-lowest: setup $(LOWEST)/.test
	$(LOWEST)/bin/python -m pytest -n $(JOBS) $(ONCE:%=--ignore=%)

simulate: setup
	$(VENV)/bin/python -m tests.simulation --seeds $(SEEDS)

# To put the result into docs/operations.md: make soak MINUTES=30 SOAK=--docs
soak: setup
	$(VENV)/bin/python -m benchmarks.soak --minutes $(MINUTES) $(SOAK)

fuzz: setup
	nice -n 10 $(VENV)/bin/python -m tests.fuzz --executions $(EXECUTIONS)

# It installs the systems that it compares with by itself, and skips those that it cannot have.
bench: $(VENV)/.run
	@command -v npm >/dev/null || $(call apt,nodejs npm) || \
	  echo 'Missing: npm (Debian: apt-get install nodejs npm)' >&2
	$(VENV)/bin/python -m benchmarks $(BENCH)

docs: $(VENV)/.docs
	$(VENV)/bin/sphinx-build -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf $(VENV) $(LOWEST) $(RIVALS) $(JS)/node_modules benchmarks/js/node_modules build dist *.egg-info docs/_build _trial_temp* \
	  .mypy_cache .pytest_cache .ruff_cache .hypothesis twisted/plugins/dropin.cache
	find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +

# -- set-up ----------------------------------------------------------------------------------------

setup: $(VENV)/.test $(JS)/node_modules/.installed chromium systemd proxies

# Installs Debian packages if we may; fails if not.
apt = { [ "$$(id -u)" = 0 ] && command -v apt-get && apt-get -qq update && \
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $(1); } >/dev/null

define make_venv
@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(call apt,$(notdir $(PYTHON))-venv) || \
  { echo 'Missing: $(PYTHON) with venv (Debian: apt-get install $(notdir $(PYTHON))-venv)' >&2; exit 1; }
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
  { echo 'Missing: Python 3.11 or newer; name one that you have, as in: make PYTHON=python3.13' >&2; exit 1; }
# What ensurepip brings is as old as Python, and may have known holes.
$(PYTHON) -m venv --clear --upgrade-deps $(@D) >/dev/null
@touch $(@D)/.python$$($(WHICH_VERSION))
endef

$(VENV)/.python$(VERSION) $(LOWEST)/.python$(VERSION):
	$(make_venv)

$(VENV)/.run: $(VENV)/.python$(VERSION) $(METADATA)
	$(VENV)/$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.python$(VERSION) $(METADATA)
	$(VENV)/$(PIP_INSTALL) --editable '.[test]'
	@touch $@ $(VENV)/.run

$(VENV)/.docs: $(VENV)/.python$(VERSION) $(METADATA)
	$(VENV)/$(PIP_INSTALL) --editable '.[docs]'
	@touch $@

$(LOWEST)/.test: $(LOWEST)/.python$(VERSION) $(METADATA) tests/lowest.txt
	$(LOWEST)/$(PIP_INSTALL) --constraint tests/lowest.txt --editable '.[test]'
	@touch $@

# Without npm the JavaScript tests are skipped and say so, so set-up goes on.
$(JS)/node_modules/.installed: $(JS)/package.json $(JS)/package-lock.json
	@command -v npm >/dev/null || $(call apt,nodejs npm) || \
	  echo 'Missing: npm (Debian: apt-get install nodejs npm)' >&2
	@! command -v npm >/dev/null || { cd $(JS) && npm ci && touch node_modules/.installed; } || \
	  echo 'Missing: the JavaScript packages of $(JS) (npm ci failed)' >&2

# Likewise the tests in a browser.
chromium:
	@command -v $(CHROMIUM) >/dev/null || $(call apt,chromium) || \
	  echo 'Missing: Chromium (Debian: apt-get install chromium)' >&2

# And those that ask systemd what it thinks of our units.
systemd:
	@command -v systemd-analyze >/dev/null || $(call apt,systemd) || \
	  echo 'Missing: systemd-analyze (Debian: apt-get install systemd)' >&2

# And those behind a proxy. Debian would start what it installs, now and at each boot: not for a test.
proxies:
	@PATH="$$PATH:/usr/sbin"; export SYSTEMD_OFFLINE=1; for each in nginx haproxy; do \
	  command -v $$each >/dev/null || { $(call apt,$$each) && \
	    { ! command -v systemctl >/dev/null || systemctl --quiet disable $$each; }; } || \
	  echo "Missing: $$each (Debian: apt-get install $$each)" >&2; done
