"""Makes the Blender add-on's zip file: `make addon`, or `python viewers/blender/make/addon.py out/hamba_hands.zip`."""

import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

SOURCE = Path(__file__).parents[1] / "addon"
LICENCE = Path(__file__).parents[3] / "LICENSE"


def make(target: Path) -> None:
    """Write the zip, the same bytes each time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    files = {path.name: path for path in (*SOURCE.glob("*.py"), SOURCE / "blender_manifest.toml", LICENCE)}
    with ZipFile(target, "w", ZIP_DEFLATED) as archive:
        for name, path in sorted(files.items()):
            archive.writestr(ZipInfo(f"hamba_hands/{name}"), path.read_bytes(), ZIP_DEFLATED)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
