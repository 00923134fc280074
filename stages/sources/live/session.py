"""A session is one connection to a camera or a stream: it reads packets in one thread and decodes them in another."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass

from hamba_core.errors import SourceError
from stages.packets import Choice, Image
from stages.sources.live.packet import Packet


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture that a session reads which decodes by itself."""

    image: Image
    stamp: float | None  # s on the stream's own clock
    captured_ns: int


@dataclass(frozen=True, eq=False)
class Decoded:
    """A picture that was decoded, and not turned into RGB yet: that is not worth it for one that nobody gets."""

    stamp: float | None  # s on the stream's own clock
    image: Callable[[], Image]  # it may raise SourceError
    key: bool = True  # it was coded without others


class Session(ABC):
    """One connection, made, read and closed in the reader's thread, and decoded in the thread of the source.

    `failure` is set by the source's thread where what comes cannot be used: the reader then lets the session go.
    """

    rate: float | None = None  # nominal pictures a second
    expected: int | None = None  # pictures, where the stream has an end
    live: bool = True
    newest_only: bool = True  # old packets are skipped; false for files and for streams that come in segments
    in_pieces: bool = False  # seconds of it come at once
    intra: bool = True  # every packet is a picture of its own
    holds_back: bool = False  # what was held back comes when nothing else does, and says nothing of the camera
    failure: SourceError | None = None
    unread: SourceError | None = None  # why nothing came out of the newest packet
    dropped: bool = False  # set by the reader: nothing more comes of it

    @abstractmethod
    def packets(self) -> Generator[Packet]:
        """Yield packets as they arrive, until the stream ends. Raises SourceError when it drops."""

    @abstractmethod
    def decode(self, packet: Packet, *, hurry: bool) -> Iterable[Decoded]:
        """Return the pictures that come out when this packet goes in, often one.

        In a `hurry`, pictures that no other depends on may be left out. Raises SourceError if too much is undecodable.
        """

    @abstractmethod
    def close(self) -> None:
        """Let the camera or the stream go."""

    @abstractmethod
    def choices(self) -> tuple[Choice, ...]:
        """Return decoder or back-end, and what was damaged in this connection. Another thread asks for it."""

    def missing(self) -> str | None:
        """Return what is missing of a stream that has come to its end, in words; None if it is whole."""
        return None


class PictureSession(Session):
    """A session whose driver or library decodes by itself, so that whole pictures arrive."""

    @abstractmethod
    def pictures(self) -> Generator[Picture]:
        """Yield pictures as they are taken. Raises SourceError when it drops."""

    def packets(self) -> Generator[Packet]:
        """Yield a packet for each picture."""
        for picture in self.pictures():
            yield Packet(picture, picture.captured_ns, picture.stamp, size=picture.image.nbytes)

    def decode(self, packet: Packet, *, hurry: bool) -> Iterator[Decoded]:
        """Yield the picture itself."""
        picture: Picture = packet.data
        yield Decoded(picture.stamp, lambda: picture.image)
