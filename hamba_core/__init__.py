"""The hand model, the geometry and the Hamba network: tensors in, tensors out.

    network = hamba_core.load("release/", mano="MANO_RIGHT.pkl")
    output = network(crops)  # HambaOutput

What is named here is imported when it is first used: `import hamba_core` alone brings no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hamba_core.hand.mano import read_mano
    from hamba_core.network.configuration import HambaConfiguration
    from hamba_core.network.hamba import Hamba, HambaOutput
    from hamba_core.view.crop import cut_crops
    from hamba_core.view.full_camera import translation_in_picture
    from hamba_core.view.square import Square, square_around
    from hamba_core.weights.conversion import Conversion, convert_release
    from hamba_core.weights.loading import load

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
    "Conversion": "weights.conversion",
    "Hamba": "network.hamba",
    "HambaConfiguration": "network.configuration",
    "HambaOutput": "network.hamba",
    "Square": "view.square",
    "convert_release": "weights.conversion",
    "cut_crops": "view.crop",
    "load": "weights.loading",
    "read_mano": "hand.mano",
    "square_around": "view.square",
    "translation_in_picture": "view.full_camera",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
