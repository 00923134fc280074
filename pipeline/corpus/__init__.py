"""A corpus is thousands of videos: reconstructed on a Ray cluster, kept as one data set of Parquet files."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
