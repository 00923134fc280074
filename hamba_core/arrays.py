"""The kinds of arrays, by what they hold: one name for each, wherever it is used."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
"""Double precision: geometry is computed in it."""
Float32Array = NDArray[np.float32]
"""Single precision: what packets carry, and what networks and pictures of light are computed in."""
AnyFloats = NDArray[np.floating]
"""Numbers of either precision."""

Int32Array = NDArray[np.int32]
"""Whole numbers as packets carry them: the faces of a mesh."""
Int64Array = NDArray[np.int64]
"""NumPy's own integers: indices, and the faces of a hand model."""
AnyInts = NDArray[np.integer]
"""Whole numbers of any width."""

BoolArray = NDArray[np.bool_]
"""Masks: which elements are meant."""
AnyArray = NDArray[Any]
"""Numbers whose kind is known elsewhere, or is found out."""
