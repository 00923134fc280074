"""The options of `hamba run`, each with its help."""

from pathlib import Path
from typing import Annotated

import typer

Sources = Annotated[
    list[str] | None,
    typer.Argument(
        help="A video or picture file, a folder or glob of pictures, a camera (0, /dev/video0, camera:NAME; "
        "see hamba cameras), an address (rtsp://, http://, udp://), or synthetic: Several, or a folder or glob of "
        "videos, are run one after another, each into a folder of its own in --out; "
        "several cameras run at once.",
        show_default=False,
    ),
]
SourceFile = Annotated[
    str | None,
    typer.Option(
        envvar="HAMBA_SOURCE_FILE",
        metavar="FILE",
        help="Read sources from this file, one per line, or - for standard input: other users of a machine "
        "see what stands in a command line, passwords too.",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder for the results. \\[default: out/<source>, or out/<source>-2...; none for live runs]",
        show_default=False,
    ),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="Start within a file, in seconds or as 1:02:03.5."),
]
To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="End within a file.")]
Preset = Annotated[
    str | None,
    typer.Option(
        help="live, offline, or a YAML file of settings. \\[default: live for cameras and streams, else offline]",
        show_default=False,
    ),
]
Estimator = Annotated[
    str | None, typer.Option(help="auto, hamba-s, hamba or landmarks. \\[default: auto]", show_default=False)
]
Checkpoint = Annotated[
    Path | None, typer.Option(help="Hamba weights: a release folder, a checkpoint or a converted file.")
]
HandModel = Annotated[
    str | None, typer.Option(help="generic, or the path of your MANO file. \\[default: generic]", show_default=False)
]
Overlay = Annotated[
    bool | None,
    typer.Option(
        "--overlay/--no-overlay", help="Write a video with the hands drawn over the picture.", show_default=False
    ),
]
Publish = Annotated[
    bool | None,
    typer.Option(
        "--publish/--no-publish",
        help="Publish over ZeroMQ. \\[default: on for live runs]",
        show_default=False,
    ),
]
PublishAddress = Annotated[
    str | None, typer.Option(help="Address to publish on; implies --publish. \\[default: tcp://127.0.0.1:5557]")
]
Wait = Annotated[
    bool,
    typer.Option(
        "--wait", help="Wait for a camera or stream that is not available yet, instead of ending with an error."
    ),
]
View = Annotated[bool, typer.Option("--view", help="Also open a window that shows the hands; implies --publish.")]
Health = Annotated[
    str | None,
    typer.Option(
        metavar="[HOST:]PORT",
        help="Serve /alive, /ready and Prometheus metrics (/metrics) on this port.",
        show_default=False,
    ),
]
MaxHands = Annotated[
    int | None, typer.Option(help="Largest number of hands to follow. \\[default: 2]", show_default=False)
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="STAGE.KEY=VALUE", help="Any setting; may be repeated.", show_default=False),
]
Export = Annotated[
    str | None,
    typer.Option(
        metavar="FORMATS",
        help="Export the recording at the end, such as glb,npz; see hamba export.",
        show_default=False,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, max=64, help="Several sources: number of processes. \\[default: 1]", show_default=False),
]
Resume = Annotated[bool, typer.Option("--resume", help="Several sources: skip the finished ones, repeat the others.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the results of an earlier run.")]
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON on standard output, and nothing else.")]
