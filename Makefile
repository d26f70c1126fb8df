# One command each; the first one installs what it needs into .venv, later ones start at once.
#   make run     Llama-3.1-8B decode on the 8-socket SN40L        make bench   CPU time and memory against their targets
#   make test    format, lint, types, import order, tests         make docs    HTML in build/docs
#   make lint    the same without the tests                       make format  rewrite what a tool can mend
#   make calibrate  the search for `assumed` parameters (experiments/calibration)
#   make experiments   every table and figure of the SN40L paper again: results.csv and results.svg of each experiment
# PYTHON=python3.13 picks the interpreter that .venv is made from.

PYTHON ?= python3
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
FLOCK := $(shell command -v flock 2>/dev/null)

.DELETE_ON_ERROR:
.NOTPARALLEL:  # every target installs into the one .venv
.PHONY: run test lint format bench experiments calibrate docs clean

run: $(VENV)/.installed
	$(BIN)/rdusim run llama-3.1-8b --phase decode --context-tokens 4096

# pytest comes last, so that its closing line closes the output.
test: lint
	$(BIN)/pytest -n auto $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports > $(VENV)/lint-imports.txt || { cat $(VENV)/lint-imports.txt; exit 1; }

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

bench: $(VENV)/.installed-fast
	$(BIN)/python experiments/bench/bench.py

calibrate: $(VENV)/.installed-calibrate
	$(BIN)/python experiments/calibration/run.py

experiments: $(VENV)/.installed-plot
	$(BIN)/python experiments/run.py
	$(BIN)/rdusim sensitivity experiments/sensitivity/headlines.yaml --output experiments/sensitivity/results.csv \
	  --plot experiments/sensitivity/results.svg

docs: $(VENV)/.installed-docs
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs
	@echo build/docs/index.html

clean:
	rm -rf $(VENV) build dist

# ---- installing: a stamp for each set of packages, out of date when pyproject.toml changes ----

# A set contains the plain installation, so its stamp counts for that too.
$(VENV)/.installed-%: pyproject.toml | $(VENV)/pyvenv.cfg
	$(call install,.[$*])
	@touch $(VENV)/.installed $@

$(VENV)/.installed: pyproject.toml | $(VENV)/pyvenv.cfg
	$(call install,.)
	@touch $@

# The lock is for two `make` at once in one checkout; where there is no flock, do not do that.
lock = $(if $(FLOCK),$(FLOCK) $(VENV)/.lock)

ifdef UV
install = $(lock) $(UV) pip install --quiet --python $(BIN)/python --editable '$(1)'
make_venv = $(UV) venv --quiet --allow-existing --python '$(PYTHON)' $(VENV)
else
install = $(lock) $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '$(1)'
make_venv = '$(PYTHON)' -m venv $(VENV)
endif

needs_python = import sys; sys.version_info >= (3, 11) or sys.exit("rdusim needs Python 3.11 or newer and $(PYTHON) is "\
  + sys.version.split()[0] + ": say which one to use, for example `make PYTHON=python3.12`")

$(VENV)/pyvenv.cfg:
	@command -v '$(PYTHON)' > /dev/null || { echo 'rdusim needs Python 3.11 or newer: $(PYTHON) was not found' >&2; exit 1; }
	@'$(PYTHON)' -c '$(needs_python)'
	@mkdir -p $(VENV)
	$(lock) $(make_venv)
