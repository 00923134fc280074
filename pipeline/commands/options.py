"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Address = Annotated[
    str, typer.Argument(help="Where hands are published, as ZeroMQ writes addresses.", metavar="ADDRESS")
]
Take = Annotated[
    int | None,
    typer.Option(min=1, help="Which of the takes that another program has put into one file.", show_default=False),
]
Shown = Annotated[
    str,
    typer.Argument(
        help="Where hands are published, as ZeroMQ writes addresses; or a recording, or the folder that has it.",
        metavar="ADDRESS|RECORDING",
    ),
]
Mirror = Annotated[
    bool,
    typer.Option(
        "--mirror", help="Show hands and picture as in a mirror, for a person who looks at themselves. Data stay as is."
    ),
]
ServerKey = Annotated[
    Path | None, typer.Option(help="The publisher's public key file (*.key), where it asks for CURVE.")
]
ClientKey = Annotated[
    Path | None, typer.Option(help="This client's secret key file (*.key_secret), made by `hamba keys new`.")
]
Robot = Annotated[
    str | None,
    typer.Option(
        help="A robot's hands that follow: a name or a file, as `hamba retarget` has it.",
        metavar="NAME|FILE",
        show_default=False,
    ),
]
