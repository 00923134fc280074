"""The test pattern: two animated hands with exact ground truth, `synthetic:` as a source, and the clip that ships."""

from stages.synthetic.settings import SyntheticSettings, parse_synthetic
from stages.synthetic.source import SyntheticSource, synthetic_source
from stages.synthetic.truth import ClipTruth, HandTruth, load_truth

__all__ = ["ClipTruth", "HandTruth", "SyntheticSettings", "SyntheticSource", "load_truth", "parse_synthetic",
           "synthetic_source"]  # fmt: skip
