"""`hamba keys`: keys for publishing to chosen clients alone."""

import re
from pathlib import Path
from typing import Annotated

import typer

from hamba_core.errors import ConfigurationError, OutputError

app = typer.Typer(no_args_is_help=True, help="Keys for publishing to chosen clients alone (CURVE).")


@app.callback()
def _keys() -> None:
    pass


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Whose keys: a name for the publisher or a client.", show_default=False)],
    to: Annotated[Path, typer.Option(help="Folder for the two files.")] = Path(),
) -> None:
    """Make a key pair: NAME.key, to give away, and NAME.key_secret, which only its owner can read."""
    public, secret = make_keys(name, to)
    typer.echo(f"wrote {public}, to give away, and {secret}, to keep secret")


def make_keys(name: str, folder: Path) -> tuple[Path, Path]:
    """Write a CURVE pair; gives the paths of the public and the secret file. Existing ones are never replaced."""
    import os

    from zmq.auth import create_certificates

    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
        raise ConfigurationError(f"keys: expected a name of letters, digits and _ . -, found {name!r}")
    public, secret = folder / f"{name}.key", folder / f"{name}.key_secret"
    for path in (public, secret):
        if path.exists():
            raise OutputError(f"{path} is already there, and keys are never replaced: take another name, or remove it")
    before = os.umask(0o077)  # so that the secret is at no moment readable by others
    try:
        folder.mkdir(parents=True, exist_ok=True)
        create_certificates(folder, name)
        public.chmod(0o644)
    except OSError as error:
        raise OutputError(
            f"cannot write keys to {folder}: expected a folder to write to, found: {error.strerror or error}; "
            "name another with --to"
        ) from error
    finally:
        os.umask(before)
    return public, secret
