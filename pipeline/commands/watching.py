"""What commands follow: what is published somewhere, or a recording, which some of them have played for them alone."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING

from hamba_core.errors import ConfigurationError
from pipeline.given_names import check_published, recording_in
from stages.common.terminal import tell

if TYPE_CHECKING:
    from stages.packets import FrameResult
    from viewers.avatars import OscMessage
    from viewers.player import Player


def is_recording(shown: str, take: int | None, *keys: Path | None) -> bool:
    """Return whether this is a recording or a folder, not an address.

    Raises SourceError where it is neither; ConfigurationError for a take of an address, or keys for a recording.
    """
    if Path(shown).exists():
        if any(key is not None for key in keys):
            raise ConfigurationError(
                f"--server-key and --client-key: expected the address of a publisher, found the recording {shown}"
            )
        return True
    check_published(shown, or_recording=True)
    if take is not None:
        raise ConfigurationError(f"--take: expected a recording, which may have several, found the address {shown}")
    return False


@contextmanager
def played(shown: str, take: int | None, *keys: Path | None) -> Iterator[tuple[str, "Player | None"]]:
    """Yield an address to follow, and the player behind it where a recording or its folder is shown.

    It is played again and again, until the context ends. Raises SourceError where a file is no recording, and what
    `is_recording` raises.
    """
    if not is_recording(shown, take, *keys):
        yield shown, None
        return
    from stages.publishing import Publisher, PublishSettings
    from stages.recording import read_recording
    from viewers.player import Player

    recording = read_recording(recording_in(Path(shown)), take)
    if not any(result.hands for result in recording.results()):
        tell(f"{shown}: there are no hands in it")
    with TemporaryDirectory(prefix="hamba-") as folder:
        address = f"ipc://{folder}/hands"
        player = Player(recording, Publisher(PublishSettings(address=address)), loop=True)
        thread = Thread(target=player.run, name="player", daemon=True)
        thread.start()
        try:
            yield address, player
        finally:
            player.stop()
            thread.join(5.0)


def sent_over_osc(
    shown: str, take: int | None, host: str, port: int, server_key: Path | None, client_key: Path | None,
    messages: "Callable[[FrameResult], Iterable[OscMessage]]",
) -> None:  # fmt: skip
    """Send what `messages` makes of each newest frame to a receiver of OSC, until Ctrl-C."""
    from viewers.avatars import OscSender
    from viewers.client import HandClient
    from viewers.terminal_line import TerminalLine
    from viewers.watch import Watch

    with (
        suppress(KeyboardInterrupt),
        OscSender(host, port) as sender,
        played(shown, take, server_key, client_key) as (followed, _),
        HandClient(followed, server_key=server_key, client_key=client_key) as client,
        TerminalLine() as line,
    ):
        watch = Watch(client)
        line.say(f"sending to {host}:{port}; Ctrl-C ends")
        while True:
            message = client.latest(timeout=0.05)
            if message is not None:
                sender.send(messages(message.result))
                watch.shown(message)
            if line.due:
                numbers = watch.numbers()
                refused = f"  {sender.unsent} refused by the receiver's machine" if sender.unsent else ""
                line.show(numbers.words, numbers.line() + refused)
