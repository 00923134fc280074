"""`hamba doctor`: what works on this machine, what is missing, and the command that fixes it."""

import ctypes
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Literal

import typer

State = Literal["works", "missing", "optional"]

PACKAGES = {
    "av": "av", "onnxruntime": "onnxruntime", "mediapipe": "mediapipe", "open3d": "open3d",
    "pyzmq": "zmq", "msgspec": "msgspec", "mcap": "mcap", "opencv-contrib-python": "cv2", "matplotlib": "matplotlib",
}  # fmt: skip
LIBRARIES = {
    "libusb-1.0.so.0": "libusb-1.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libGLESv2.so.2": "libgles2",
}
_KERNELS = "pip install --no-build-isolation mamba-ssm causal-conv1d   (needs a CUDA compiler)"
_NETWORK = ("the released network needs it; hamba-s and landmarks do not", "pip install 'hamba-stream[network]'")
_TRAIN = ("`hamba train` needs it", "pip install 'hamba-stream[train]'")
OPTIONAL = {
    "torch": ("torch", *_NETWORK),
    "timm": ("timm", *_NETWORK),
    "smplx": ("smplx", *_NETWORK),
    "torchvision": ("torchvision", *_NETWORK),
    "roma": ("roma", *_NETWORK),
    "viser": ("viser", "`hamba web` needs it", "pip install 'hamba-stream[web]'"),
    "pillow-heif": ("pillow_heif", "HEIC pictures need it", "pip install 'hamba-stream[pictures]'"),
    "pillow-jxl-plugin": ("pillow_jxl", "JPEG XL pictures need it", "pip install 'hamba-stream[pictures]'"),
    "usd-core": ("pxr", "`hamba export --to usd` needs it", "pip install 'hamba-stream[usd]'"),
    "dexi-rs": ("dexi_rs", "`hamba retarget` needs it", "pip install 'hamba-stream[robots]'"),
    "rosbags": ("rosbags", "`hamba export --to rosbag` needs it", "pip install 'hamba-stream[ros]'"),
    "python-osc": ("pythonosc", "`hamba vmc` and `hamba osc` need it", "pip install 'hamba-stream[avatars]'"),
    "pyarrow": (
        "pyarrow", "`hamba corpus` and `hamba export --to parquet,lerobot` need it",
        "pip install 'hamba-stream[parquet]'",
    ),
    "ray": ("ray", "`hamba corpus` needs it", "pip install 'hamba-stream[cluster]'"),
    "prometheus-client": ("prometheus_client", "`hamba run --health` needs it", "pip install 'hamba-stream[health]'"),
    "onnxscript": ("onnxscript", *_TRAIN),
    "lightning-fabric": ("lightning_fabric", *_TRAIN),
    "mamba-ssm": ("mamba_ssm", "the scan runs in plain torch", _KERNELS),
    "causal-conv1d": ("causal_conv1d", "the convolution runs in plain torch", _KERNELS),
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One finding."""

    what: str
    state: State
    found: str
    mend: str = ""


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Show what works on this machine, what is missing, and the command that fixes it."""
    findings = list(_examine())
    if json:
        from pipeline.terminal import print_json

        print_json(findings, indent=2)
    else:
        _print(findings)
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(1)


def _examine() -> Iterator[Finding]:
    yield Finding("Python", "works", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield from _libraries()
    yield from _packages()
    yield from _optional_packages()
    yield from _shipped_parts()
    yield from _compute()
    yield from _weights()
    yield from _cameras_and_screen()


def _libraries() -> Iterator[Finding]:
    if sys.platform != "linux":
        return
    for library, package in LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            yield Finding(library, "missing", "not found", f"sudo apt-get install {package}   (Debian, Ubuntu)")
        else:
            yield Finding(library, "works", "found")


def _packages() -> Iterator[Finding]:
    for distribution, module in PACKAGES.items():
        try:
            import_module(module)
        except Exception as error:  # noqa: BLE001 - a broken package can raise anything, and this is what we report
            yield Finding(distribution, "missing", f"{type(error).__name__}: {error}", f"pip install {distribution}")
            continue
        try:
            yield Finding(distribution, "works", version(distribution))
        except PackageNotFoundError:
            yield Finding(distribution, "works", "installed under another name")


def _optional_packages() -> Iterator[Finding]:
    for distribution, (module, without, mend) in OPTIONAL.items():
        try:
            import_module(module)
        except Exception as error:  # noqa: BLE001 - compiled extensions fail in many ways
            yield Finding(distribution, "optional", f"not in use ({type(error).__name__}): {without}", mend)
        else:
            yield Finding(distribution, "works", version(distribution))


def _shipped_parts() -> Iterator[Finding]:
    from hamba_core.hand import load_generic_hand
    from stages.assets import CLIP, HAMBA_S, HAND_LANDMARKER, LANDMARK_NETWORK, PALM_NETWORK

    hand = load_generic_hand()
    yield Finding("generic hand", "works", f"{len(hand.v_template)} vertices")
    files = {
        "hamba-s": HAMBA_S,
        "hand network": LANDMARK_NETWORK,
        "palm network": PALM_NETWORK,
        "MediaPipe's landmarker": HAND_LANDMARKER,
        "demo clip": CLIP,
    }
    for what, path in files.items():
        if path.is_file():
            yield Finding(what, "works", f"{path.stat().st_size / 1e6:.1f} MB")
        else:
            yield Finding(what, "missing", f"{path} is not there", "pip install --force-reinstall hamba-stream")


def _compute() -> Iterator[Finding]:
    yield Finding("processor", "works", f"{os.cpu_count()} cores")
    try:
        import torch
    except Exception:  # noqa: BLE001 - already reported with the packages
        return
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        yield Finding("CUDA", "works", names)
    else:
        yield Finding("CUDA", "optional", "no CUDA device: the network runs on the processor")


def _weights() -> Iterator[Finding]:
    checkpoint = os.environ.get("HAMBA_CHECKPOINT")
    if checkpoint and Path(checkpoint).exists():
        yield Finding("Hamba weights", "works", checkpoint)
    elif checkpoint:
        yield Finding("Hamba weights", "missing", f"HAMBA_CHECKPOINT names {checkpoint}, which is not there")
    else:
        yield Finding(
            "Hamba weights",
            "optional",
            "not configured: hands come from hamba-s, which ships",
            "get the released checkpoint (docs/model.md), then --checkpoint FILE or HAMBA_CHECKPOINT=FILE",
        )


def _cameras() -> Iterator[Finding]:
    try:
        from stages.sources.cameras import list_cameras

        cameras = list_cameras()
    except ModuleNotFoundError:  # PyAV, which is reported with the packages
        return
    usable = [str(camera) for camera in cameras if not camera.problem]
    if usable:
        yield Finding("cameras", "works", ", ".join(usable))
    elif not cameras:
        yield Finding("cameras", "optional", "none")
    for camera in cameras:
        if camera.problem:
            yield Finding(f"camera {camera}", "optional", camera.problem)


def _cameras_and_screen() -> Iterator[Finding]:
    yield from _cameras()
    if sys.platform == "linux":
        screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        yield Finding("screen", "works" if screen else "optional", screen or "none: the window viewer needs one")
    free = shutil.disk_usage(Path.cwd()).free
    yield Finding("disk", "works" if free > 1e9 else "optional", f"{free / 1e9:.0f} GB free here")


def _print(findings: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    from stages.common.terminal import Terminal

    signs = {"works": ("works", "green"), "missing": ("missing", "red"), "optional": ("not there", "yellow")}
    table = Table(box=None, pad_edge=False)
    for column in ("", "what", "found", "to mend it"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        table.add_row(Text(*signs[finding.state]), finding.what, finding.found, finding.mend)
    console = Terminal()
    console.print(table)
    missing = [finding.what for finding in findings if finding.state == "missing"]
    console.print(
        Text.assemble((f"{len(missing)} missing:", "red"), f" {', '.join(missing)}")
        if missing
        else "Everything that is needed is here. What is not there is optional."
    )
