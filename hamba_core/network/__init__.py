"""The Hamba network, as in the paper's figure: backbone, joint regressor, token sampler, GSS head."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
