from .settings import SyntheticSettings as SyntheticSettings, parse_synthetic as parse_synthetic
from .source import SyntheticSource as SyntheticSource, synthetic_source as synthetic_source
from .truth import ClipTruth as ClipTruth, HandTruth as HandTruth, load_truth as load_truth
