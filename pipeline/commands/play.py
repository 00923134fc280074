"""`hamba play`: a recording, published again."""

from pathlib import Path
from typing import Annotated

import typer

from hamba_core.text import counted
from pipeline.commands.options import Take
from stages.common.address import DEFAULT_ADDRESS


def play(
    recording: Annotated[Path, typer.Argument(help="A recording (hands.mcap) or its folder.", show_default=False)],
    take: Take = None,
    rate: Annotated[float, typer.Option(help="Speed, as a multiple of the recorded pace.", metavar="FACTOR")] = 1.0,
    loop: Annotated[bool, typer.Option("--loop", help="Repeat until Ctrl-C.")] = False,
    publish: Annotated[str, typer.Option(help="Where to publish.", metavar="ADDRESS")] = DEFAULT_ADDRESS,
) -> None:
    """Publish a recording again, at its own pace, as if its run were live."""
    from pydantic import ValidationError

    from hamba_core.errors import ConfigurationError
    from pipeline.given_names import recording_in
    from pipeline.settings import explained
    from stages.common.terminal import Terminal
    from stages.publishing import Publisher, PublishSettings
    from stages.recording import read_recording
    from viewers.player import Player

    if not 0.01 <= rate <= 100:
        raise ConfigurationError(f"--rate: expected a factor between 0.01 and 100, found {rate:g}")
    try:
        publishing = PublishSettings(address=publish)
    except ValidationError as error:
        raise ConfigurationError(f"--publish: {explained(error.errors()[0]['msg'])}, found {publish!r}") from None
    opened = read_recording(recording_in(recording), take)
    console = Terminal(stderr=True)
    player = Player(opened, Publisher(publishing), rate=rate, loop=loop)
    console.print(f"playing {opened.path}, to be published on {publish}; Ctrl-C ends", highlight=False)
    status = player.run()
    console.print(f"{status.state}: {counted(status.frames, 'frame')} in {status.elapsed:.1f} s", highlight=False)
