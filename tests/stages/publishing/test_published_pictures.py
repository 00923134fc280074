"""Pictures are published for those who look, at the stated size and rate."""

from functools import partial

import pytest

from stages import wire
from stages.packets import Image
from stages.publishing import Publisher, PublishSettings
from stages.publishing.pictures import to_jpeg
from tests.stages.publishing.conftest import Join, MakeResult, MakeRun, Until


def test_pictures_come_at_most_at_the_stated_width_and_rate(
    make_run: MakeRun, make_result: MakeResult, join: Join, until: Until
) -> None:
    import cv2
    import numpy as np

    settings = PublishSettings(address="tcp://127.0.0.1:*", images=True, image_width=320, image_rate=10)
    publisher = Publisher(settings)
    publisher.open(make_run())
    with join(publisher, images=True) as client:

        def received(count: int) -> bool:
            return client.alive and client.received == count

        pictures: list[wire.ImageMessage] = []
        for index in range(9):  # 30 frames/s for 0.3 s
            publisher.write(make_result(index, image=True))
            until(partial(received, index + 1))
            if client.image is not None and (not pictures or client.image is not pictures[-1]):
                pictures.append(client.image)
        assert 2 <= len(pictures) <= 3
        decoded = cv2.imdecode(np.frombuffer(pictures[0].jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        assert decoded.shape == (240, 320, 3)
        assert pictures[0].frame.width == 640
    publisher.close()


@pytest.mark.parametrize(
    ("address", "images", "expected"),
    [
        ("tcp://127.0.0.1:*", None, True),
        ("tcp://127.0.0.1:*", False, False),
        ("tcp://0.0.0.0:*", None, False),
        ("tcp://0.0.0.0:*", True, True),
    ],
)
def test_pictures_are_published_unasked_where_this_machine_alone_can_connect(
    make_run: MakeRun, make_result: MakeResult, join: Join, until: Until,
    address: str, images: bool | None, expected: bool,
) -> None:  # fmt: skip
    publisher = Publisher(PublishSettings(address=address, images=images))
    publisher.open(make_run())
    with join(publisher, images=True) as client:

        def seen() -> bool:
            publisher.write(make_result(image=True))
            return client.alive and (client.image is not None if expected else client.received > 20)

        until(seen)
        assert (client.image is not None) == expected
    publisher.close()


def test_pictures_are_encoded_for_those_alone_who_look(
    make_run: MakeRun, make_result: MakeResult, join: Join, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []

    def counted(image: Image, width: int) -> bytes:
        encoded.append(width)
        return to_jpeg(image, width)

    monkeypatch.setattr("stages.publishing.publisher.to_jpeg", counted)
    publisher = Publisher(PublishSettings(address="tcp://127.0.0.1:*"))
    publisher.open(make_run())
    with join(publisher) as client:
        publisher.write(make_result(0, image=True))
        until(lambda: client.alive and client.received == 1)
        assert not encoded
    with join(publisher, images=True) as client:

        def looks() -> bool:
            publisher.write(make_result(1, image=True))
            return client.alive and client.image is not None

        until(looks)
        assert encoded

    def nobody_looks() -> bool:
        publisher.write(make_result(2))
        return not publisher._audience.wants_pictures

    until(nobody_looks)
    encoded.clear()
    publisher.write(make_result(3, image=True))
    assert not encoded
    publisher.close()
