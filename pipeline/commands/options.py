"""Options shared by several commands."""

from pathlib import Path
from typing import Annotated

import typer

Address = Annotated[str, typer.Argument(help="ZeroMQ address where hands are published.", metavar="ADDRESS")]
Take = Annotated[
    int | None,
    typer.Option(min=1, help="Which take, if another program has merged several into one file.", show_default=False),
]
Shown = Annotated[
    str,
    typer.Argument(
        help="ZeroMQ address where hands are published; or a recording or its folder.",
        metavar="ADDRESS|RECORDING",
    ),
]
Mirror = Annotated[
    bool,
    typer.Option("--mirror", help="Mirror the display, for people who watch themselves. Data stay unmirrored."),
]
ServerKey = Annotated[Path | None, typer.Option(help="The publisher's public key file (*.key), if it uses CURVE.")]
ClientKey = Annotated[
    Path | None, typer.Option(help="This client's secret key file (*.key_secret), made by `hamba keys new`.")
]
Robot = Annotated[
    str | None,
    typer.Option(
        help="Also show robot hands that follow: a name or a file, as for `hamba retarget`.",
        metavar="NAME|FILE",
        show_default=False,
    ),
]
