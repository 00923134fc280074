"""A section of the probe is a function: what it returns goes into probe.json at once, and so does an error in it."""

import json
import signal
import time
import traceback
from collections.abc import Callable
from typing import Any, Final

import torch

from tests.gpu.visit.probe.options import CUDA, DEADLINE, DEVICE, ONLY, OUT

_BEGAN: Final = time.perf_counter()
_SECTION_S: Final = 40 if CUDA else 300
"""The most that a section may take. What it has found by then is lost, but the next begins."""

_results: dict[str, Any] = {"torch": torch.__version__, "device": torch.cuda.get_device_name(DEVICE) if CUDA else "cpu"}


def seconds_left() -> float:
    """Return the seconds until the deadline."""
    return DEADLINE - (time.perf_counter() - _BEGAN)


def run_section(section: Callable[[], Any]) -> None:
    """Run a section, unless it was not asked for or there is no time, and save what it finds."""
    name = section.__name__
    if ONLY and name not in ONLY:
        return
    if seconds_left() < 0:
        _results[name] = "left out: no time"
        _save()
        return
    begin = time.perf_counter()
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(_SECTION_S)
    try:
        found = section()
    except Exception as error:  # noqa: BLE001
        found = {"error": f"{type(error).__name__}: {error}"[:600], "at": traceback.format_exc()[-1500:]}
    signal.alarm(0)
    _results[name], _results[f"{name}_s"] = found, round(time.perf_counter() - begin, 1)
    print(f"{name}: {_results[f'{name}_s']} s", found.get("error", "") if isinstance(found, dict) else "", flush=True)
    _save()


def _too_long(*_: object) -> None:
    raise TimeoutError(f"more than {_SECTION_S} s")


def _save() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "probe.json").write_text(json.dumps(_results, indent=1))
