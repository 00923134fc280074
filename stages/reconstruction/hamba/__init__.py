"""The `hamba` estimator: the network, kept busy.

`estimator` takes tracked boxes to hands; `opening` loads the network onto its devices; `engine` takes crops through it,
in batches that travel in `slots`; `device` is what it needs of a device, `cuda` a GPU; `replicas` are several of them;
`sharing` lets several estimators use one network. `hands` and `rows` are what comes out.
"""

from stages.reconstruction.hamba.estimator import HambaEstimator
from stages.reconstruction.hamba.settings import NetworkSettings
from stages.reconstruction.hamba.sharing import SharedModel

__all__ = ["HambaEstimator", "NetworkSettings", "SharedModel"]
