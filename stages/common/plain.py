"""Values in the types that JSON has."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import Any

from hamba_core.text import readable


def plain(value: Any) -> Any:
    """Return the value in dicts, lists, texts, numbers and None, which also stands for NaN and infinity.

    Dataclasses become dicts, NumPy's numbers Python's, and what JSON knows nothing of, such as a path, its text.
    """
    match value:
        case bool() | None:
            return value
        case str():
            return readable(value)
        case int():
            return int(value)
        case float():
            return float(value) if isfinite(value) else None
        case Mapping():
            return {readable(str(key)): plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        case _ if hasattr(value, "tolist"):
            return plain(value.tolist())  # a NumPy number or array
        case _:
            return readable(str(value))
