"""A network in ONNX Runtime: one thread, so that it takes no more of a machine than its stage does."""

import re
from pathlib import Path
from typing import Any

from hamba_core.errors import DependencyError, WeightsError

_MEND = "install hamba-stream again, or make the file with stages/assets/make/hand_networks.py"


def open_session(path: Path) -> Any:
    """The `onnxruntime.InferenceSession` of a network. Raises DependencyError, WeightsError."""
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
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except (OSError, RuntimeError, ValueError) as error:
        raise WeightsError(f"{path}: expected a network that ONNX Runtime can run, found: {error}; {_MEND}") from error
    except Exception as error:
        # What a damaged file raises has no base of its own beside Exception.
        if type(error).__module__.startswith("onnxruntime"):
            raise WeightsError(f"{path}: expected an intact network, found: {error}; {_MEND}") from error
        raise
