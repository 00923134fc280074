"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Address = Annotated[
    str, typer.Argument(help="Where hands are published, as ZeroMQ writes addresses.", metavar="ADDRESS")
]
ServerKey = Annotated[
    Path | None, typer.Option(help="The publisher's public key file (*.key), where it asks for CURVE.")
]
ClientKey = Annotated[
    Path | None, typer.Option(help="This client's secret key file (*.key_secret), made by `hamba keys new`.")
]
