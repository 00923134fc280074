"""What training a network takes, tensors in, tensors out: first weights, losses, a running mean of the weights."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
