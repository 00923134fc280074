# Everything happens in the project's own virtual environment; nothing else on the machine changes, except that missing
# system libraries are installed if that is possible without asking (root on Debian or Ubuntu).

VENV ?= .venv
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3,$(shell command -v $(p) 2>/dev/null)))
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Shared libraries that the wheels expect of the system, and the Debian packages that have them.
LIBRARIES := libusb-1.0.so.0 libgthread-2.0.so.0 libGL.so.1 libEGL.so.1 libGLESv2.so.2 libX11.so.6 libgomp.so.1 libSM.so.6 libXext.so.6
DEBIAN := libusb-1.0-0 libglib2.0-0 libgl1 libegl1 libgles2 libx11-6 libgomp1 libsm6 libice6 libxext6 libudev1 libidn2-0
# Debian packages that compile the readers of the wire in docs/clients.md, for test-slow.
COMPILERS := g++ cppzmq-dev libmsgpack-cxx-dev mono-mcs mono-runtime
# Minutes that test-soak takes.
SOAK_MINUTES ?= 30
# Debian packages with other people's servers, against which test-slow reads streams where they are installed.
SERVERS := python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly ffmpeg

define FIND_MISSING
import ctypes, sys
for name in sys.argv[1:]:
    try:
        ctypes.CDLL(name)
    except OSError:
        print(name)
endef
export FIND_MISSING

.DEFAULT_GOAL := help
.PHONY: help setup system compilers servers demo test test-slow test-soak test-gpu train-small addon lint types format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup ## Set up, then reconstruct the shipped clip: meshes, recording, overlay video in out/demo
	@$(BIN)/hamba demo

test: setup ## Set up, then lint, types and tests
	@$(MAKE) --no-print-directory lint types
	@$(BIN)/pytest --cache-clear || { echo "Running the failed tests once more; what fails twice has failed."; \
		$(BIN)/pytest --last-failed --last-failed-no-failures none; }

test-slow: setup compilers servers ## Tests that take minutes: new random examples, readers in other languages, third-party servers
	@$(BIN)/pytest -m "slow and not gpu" --hypothesis-profile exploring --timeout 1800 -o faulthandler_timeout=2400
	@$(BIN)/pytest -m "hypothesis and not slow and not gpu" --hypothesis-profile exploring --timeout 600 -o faulthandler_timeout=900
	@$(BIN)/pytest -rs tests/viewers/test_client_snippets.py

test-soak: setup ## A live run of half an hour with constant faults, into out/soak; SOAK_MINUTES=5
	@$(BIN)/python -m tests.pipeline.streams.soak --minutes $(SOAK_MINUTES) --out out/soak

test-gpu: setup ## Run the tests that need CUDA
	@$(BIN)/pytest -m gpu --timeout 1800 -o faulthandler_timeout=2400 tests/gpu

gpu-check: setup ## Tests and measurements on a GPU, eight minutes, into out/gpu; DEVICE=cpu TINY=tiny for a trial
	@PYTHON=$(abspath $(BIN)/python) OUT=out/gpu bash tests/gpu/visit/check.sh $(or $(LIMIT),470)

train-small: setup ## Train hamba-s from scratch: crops, training, evaluation, export (hours; resumes if stopped)
	@$(BIN)/hamba train small --out $(or $(OUT),out/train) $(foreach change,$(SET),--set $(change))

addon: ## Build the Blender add-on: out/hamba_hands.zip
	@$(PYTHON) viewers/blender/make/addon.py out/hamba_hands.zip && echo "out/hamba_hands.zip: in Blender, Preferences > Add-ons > Install from Disk"

lint: setup ## Run ruff: lint and format
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup ## Run mypy, strict
	@$(BIN)/mypy

format: setup ## Let ruff fix what it can
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

setup: system $(READY) ## Create the virtual environment, install system libraries

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and none was found. Install it, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Name a newer one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up $(VENV) (several GB, minutes; once)..."
	@$(PYTHON) -m venv $(VENV) || { echo "Cannot make a virtual environment. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# The loader itself is asked, in Python, since ldconfig is not everywhere and does not know LD_LIBRARY_PATH.
system:
	@test "$$(uname -s)" = Linux || exit 0; test -n "$(PYTHON)" || exit 0; \
	missing=$$($(PYTHON) -c "$$FIND_MISSING" $(LIBRARIES)); \
	test -z "$$missing" && exit 0; \
	command="apt-get install --yes --no-install-recommends $(DEBIAN)"; \
	if command -v apt-get >/dev/null && test "$$(id -u)" = 0; then \
		echo "Installing system libraries:" $$missing; \
		{ apt-get update --quiet && DEBIAN_FRONTEND=noninteractive $$command --quiet; } >/dev/null || { echo "That failed. Try: $$command" >&2; exit 1; }; \
	else \
		echo "System libraries are missing:" $$missing >&2; \
		if command -v apt-get >/dev/null; then echo "Type this, then make again: sudo $$command" >&2; \
		else echo "Install the packages of your system that have them, then make again." >&2; fi; \
		exit 1; \
	fi

# What test-slow uses beyond Python: compilers for the readers of the wire in docs/clients.md, and servers of streams.
compilers: WANTED = $(COMPILERS)
servers: WANTED = $(SERVERS)
compilers servers:
	@command -v dpkg-query >/dev/null || { echo "No Debian here: tests that need $@ run where they are installed." >&2; exit 0; }; \
	missing=$$(for package in $(WANTED); do dpkg-query --show --showformat '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || echo $$package; done); \
	test -z "$$missing" && exit 0; \
	command="apt-get install --yes --no-install-recommends $$(echo $$missing)"; \
	if test "$$(id -u)" = 0; then \
		echo "Installing $@:" $$missing; \
		{ apt-get update --quiet && DEBIAN_FRONTEND=noninteractive $$command --quiet; } >/dev/null || { echo "That failed. Try: $$command" >&2; exit 1; }; \
	else \
		echo "Not installed:" $$missing "- their tests are skipped. To run them: sudo $$command" >&2; \
	fi

clean: ## Remove the virtual environment and what demo made
	rm -rf $(VENV) out
