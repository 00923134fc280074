"""The hand model, the geometry and the Hamba network: tensors in, tensors out.

    network = hamba_core.load("release/", mano="MANO_RIGHT.pkl")
    output = network(crops)  # HambaOutput

What is named here is imported when it is first used: `import hamba_core` alone brings no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hamba_core.configuration import HambaConfiguration
    from hamba_core.conversion import Conversion, convert_release
    from hamba_core.crop import cut_crops
    from hamba_core.full_camera import translation_in_picture
    from hamba_core.loading import load
    from hamba_core.mano import read_mano
    from hamba_core.network import Hamba, HambaOutput
    from hamba_core.square import Square, square_around

__all__ = [
    "Conversion",
    "Hamba",
    "HambaConfiguration",
    "HambaOutput",
    "Square",
    "convert_release",
    "cut_crops",
    "load",
    "read_mano",
    "square_around",
    "translation_in_picture",
]

_HOMES = {
    "Conversion": "conversion",
    "Hamba": "network",
    "HambaConfiguration": "configuration",
    "HambaOutput": "network",
    "Square": "square",
    "convert_release": "conversion",
    "cut_crops": "crop",
    "load": "loading",
    "read_mano": "mano",
    "square_around": "square",
    "translation_in_picture": "full_camera",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
