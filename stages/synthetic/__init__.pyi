from .settings import (
    HELD_OUT_SEEDS as HELD_OUT_SEEDS,
    SyntheticSettings as SyntheticSettings,
    parse_synthetic as parse_synthetic,
)
from .source import SyntheticSource as SyntheticSource, synthetic_source as synthetic_source
from .truth import ClipTruth as ClipTruth, HandTruth as HandTruth, load_truth as load_truth
