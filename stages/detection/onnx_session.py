"""ONNX Runtime runs a network in one thread, so that it takes no more of a machine than its stage does."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from hamba_core.errors import DependencyError, WeightsError

_MEND = "install hamba-stream again, or make the file with stages/assets/make/hand_networks.py"


def open_session(path: Path, sha256: str | None, mend: str = _MEND) -> Any:
    """Return the `onnxruntime.InferenceSession` of a network. Raises DependencyError, WeightsError.

    `sha256` is the digest that the file must have; None is for a file of the user's own. `mend` says what to do if the
    file is not right.
    """
    # Otherwise it keeps an identifier and a database in the user's cache, and sends its counts to its makers.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        missing = re.search(r"(lib\S+?\.so[.\d]*): cannot open shared object", str(error))
        advice = f"install the system's package of {missing[1]}" if missing else "python -m pip install onnxruntime"
        raise DependencyError(f"{path.name}: expected ONNX Runtime, found: {error}; {advice}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # fatal ones; errors are raised
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: expected a network, found: {error}; {mend}") from error
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        # ONNX Runtime would run many damaged networks without reporting anything.
        raise WeightsError(f"{path}: expected a file with SHA-256 {sha256}, found {found}; {mend}")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # The errors for a file that is no network have no common base but Exception.
        if type(error).__module__.startswith("onnxruntime"):
            raise WeightsError(f"{path}: expected a network that ONNX Runtime runs, found: {error}; {mend}") from error
        raise
