"""Small synthetic worlds, made once."""

import pytest

from stages.synthetic import SyntheticSettings
from stages.synthetic.world import World


@pytest.fixture(scope="session")
def desk() -> World:
    """Both hands over a desk, small pictures."""
    return World(SyntheticSettings(seed=0, width=320, height=240))


@pytest.fixture(scope="session")
def room() -> World:
    """Both hands before a room, small pictures."""
    return World(SyntheticSettings(seed=2, width=320, height=240))
