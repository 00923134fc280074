"""A publisher, and clients that are certainly connected to it."""

from collections.abc import Callable, Iterator
from math import nan

import pytest

from stages.packets import FrameResult, Percentiles, RunInfo, Status
from stages.publishing import Publisher, PublishSettings
from viewers.client import HandClient

MakeResult = Callable[..., FrameResult]


MakeRun = Callable[..., RunInfo]


Until = Callable[..., None]


Join = Callable[..., HandClient]


NOTHING = Percentiles(nan, nan, nan)


def status(state: str = "running") -> Status:
    return Status("hands", state, "", 1.0, 1, 0, 30.0, NOTHING, (), (), {})


@pytest.fixture
def publisher(make_run: MakeRun) -> Iterator[Publisher]:
    publisher = Publisher(PublishSettings(address="tcp://127.0.0.1:*"))
    publisher.open(make_run())
    yield publisher
    publisher.close()


@pytest.fixture
def join(until: Until) -> Join:
    """join(publisher) -> a client that is certainly connected: it has the model."""

    def make(publisher: Publisher, *, images: bool = False) -> HandClient:
        client = HandClient(publisher.address, images=images)

        def joined() -> bool:
            publisher.status(status())
            client.alive  # noqa: B018 - reads what has come
            return client.model is not None

        until(joined)
        return client

    return make
