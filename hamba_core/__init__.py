"""The hand model, the geometry and the Hamba network: tensors in, tensors out.

    network = hamba_core.load("release/", mano="MANO_RIGHT.pkl")
    output = network(crops)  # HambaOutput

What is named here is imported when it is first used: `import hamba_core` alone brings no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
