"""The `hamba` estimator: the network, kept busy.

`estimator` takes tracked boxes to hands; `opening` loads the network onto its devices; `engine` takes crops through it,
in batches that travel in `slots`; `device` is what it needs of a device, `cuda` a GPU; `replicas` are several of them;
`sharing` lets several estimators use one network. `hands` and `rows` are what comes out.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
