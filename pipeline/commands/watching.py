"""What `hamba view` and `hamba web` show: what is published somewhere, or a recording, played for them alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from viewers.player import Player


@contextmanager
def played(shown: str, take: int | None) -> Iterator[tuple[str, "Player | None"]]:
    """An address to follow, and the player behind it where what is shown is a recording or the folder of one.

    It is played again and again, until the context ends. Raises SourceError where a file is no recording.
    """
    if not Path(shown).exists():
        yield shown, None
        return
    from pipeline.outputs import recording_in
    from stages.publishing import Publisher, PublishSettings
    from stages.recording import read_recording
    from viewers.player import Player

    recording = read_recording(recording_in(Path(shown)), take)
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
