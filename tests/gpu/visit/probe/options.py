"""What the probe is asked: the command line, read once."""

import argparse
from pathlib import Path

import torch

_parser = argparse.ArgumentParser(prog="python -m tests.gpu.visit.probe")
_parser.add_argument("weights", type=Path)
_parser.add_argument("out", type=Path)
_parser.add_argument("--device", default="cuda:0")
_parser.add_argument("--sizes", default="1,2,4,8,16,32")
_parser.add_argument("--seconds", type=float, default=0.5)
_parser.add_argument("--deadline", type=float, default=1e9, help="seconds from now after which no section begins")
_parser.add_argument("--only", default="", help="names of sections, separated by commas")
_given = _parser.parse_args()

WEIGHTS: Path = _given.weights
OUT: Path = _given.out
DEVICE = torch.device(_given.device)
CUDA = DEVICE.type == "cuda"
SIZES = tuple(int(size) for size in _given.sizes.split(","))
SECONDS: float = _given.seconds
DEADLINE: float = _given.deadline
ONLY = set(filter(None, _given.only.split(",")))
