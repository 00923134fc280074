#!/bin/sh
# Fetch the wheels that a GPU machine with Python 3.12 and torch may lack into .gpu/whl (some 10 MB). Run it from the
# repository's root, on a machine with a package registry. Versions are those of constraints.txt.
set -e
mkdir -p .gpu/whl
pin() { grep -iE "^$1==" constraints.txt; }
python3 -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
  --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --platform manylinux1_x86_64 \
  -d .gpu/whl $(for name in roma smplx pydantic pydantic_core annotated-types typing-inspection typing_extensions typer platformdirs timm lazy_loader msgspec defusedxml; do pin $name; done)
ls .gpu/whl
