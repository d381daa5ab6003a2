# EdgeAfri: every verb does its own set-up. `make` alone prints this menu.
#
#   INDEX        package index for pip, if not the default:      make demo INDEX=https://my.mirror/simple
#   TORCH_INDEX  where torch's CPU build is looked for as well:  make demo TORCH_INDEX=
#   BUNDLE       what `make apk` packs, if not the embedded sample: make apk BUNDLE=edgeafri-work/bundle-0123456789ab
#   PYTHON       the Python to make the environment with, 3.11 or newer

PYTHON ?= python3
VENV ?= .venv
INDEX ?=
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH = torch==2.13.0
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(INDEX),--index-url $(INDEX))
READY = $(VENV)/.ready
BUNDLE ?=
FOR_A_PHONE = --target phone-t606 --set quantize.isa=wasm

.DEFAULT_GOAL := menu
.PHONY: menu setup demo apk test test-phone slow lint clean

menu:
	@echo "make demo    build the embedded sample for a Raspberry Pi 4, start to end"
	@echo "make apk     the sample, or BUNDLE=DIR, as an Android app in dist/"
	@echo "make test    lint, types and the fast tests"
	@echo "make slow    the slow tests; with real data where EDGEAFRI_LAB or ../shared has it"
	@echo "make test-phone  the tests of page, app and native core, in a real browser; they skip with what is missing"
	@echo "make lint    lint and types"
	@echo "make setup   the environment in $(VENV), and nothing else"
	@echo "make clean   remove the environment, caches and what the demo built"

setup: $(READY)

# torch first and by its exact version: asked for in general, it brings gigabytes of GPU libraries. An index that cannot
# be reached is passed over after one try, and the default index serves alone.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 3; }
	@$(PYTHON) -m venv $(VENV) || { echo "On Debian and Ubuntu: sudo apt install python3-venv"; exit 3; }
	@echo "installing into $(VENV); the first time takes a few minutes"
	@$(PIP) --retries 1 $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) "$(TORCH)"
	@$(PIP) --constraint constraints.txt --editable ".[build,dev]"
	@touch $@

demo: $(READY)
	@$(BIN)/edgeafri build --target rpi4

apk: $(READY)
	@bundle='$(BUNDLE)'; if [ -z "$$bundle" ]; then \
		said=$$($(BIN)/edgeafri build $(FOR_A_PHONE) --json) || exit; \
		bundle=$$(printf '%s' "$$said" | $(BIN)/python -c 'import json, sys; print(json.load(sys.stdin)["bundle"])'); fi; \
	$(BIN)/edgeafri package "$$bundle" --format android --out dist

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

test: lint
	@$(BIN)/python -m pytest -m "not slow" -n 2 -q

test-phone: $(READY)
	@EDGEAFRI_SHOTS=$${EDGEAFRI_SHOTS:-dist/screenshots} $(BIN)/python -m pytest tests/apk tests/web tests/test_native.py -q

slow: $(READY)
	@$(BIN)/python -m pytest -m slow -q

clean:
	rm -rf $(VENV) edgeafri-work .pytest_cache .mypy_cache .ruff_cache
