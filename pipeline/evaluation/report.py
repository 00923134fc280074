"""A report has parts that are shown as tables in the terminal and as one HTML file that needs nothing else."""

from base64 import b64encode
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from hamba_core.arrays import Float32Array
from stages.common.files import write_whole
from stages.packets import Image

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Table:
    """Words and numbers in rows; the first column names them. The columns in `prose` hold sentences."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    prose: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plot:
    """A drawing."""

    title: str
    png: bytes
    note: str = ""


@dataclass(frozen=True, eq=False)
class Tile:
    """A small picture with a caption. `true` and `found` are joints (21, 2) px that are drawn over it."""

    image: Image
    caption: str
    true: Float32Array | None = None
    found: Float32Array | None = None


@dataclass(frozen=True)
class Tiles:
    """Small pictures."""

    title: str
    tiles: tuple[Tile, ...]
    note: str = ""


@dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    facts: tuple[tuple[str, str], ...]
    parts: tuple[Table | Plot | Tiles, ...] = field(default=())


def print_table(console: "Console", table: Table) -> None:
    """Print a table."""
    from rich.table import Table as RichTable

    drawn = RichTable(box=None, pad_edge=False, header_style="dim", title=table.title, title_justify="left")
    for number, column in enumerate(table.columns):
        justify: Literal["left", "right"] = "left" if not number or column in table.prose else "right"
        drawn.add_column(column, justify=justify, no_wrap=not number)
    for row in table.rows:
        drawn.add_row(*row)
    console.print(drawn)
    if table.note:
        console.print(table.note, style="dim", highlight=False)
    console.print()


_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;color:#20242c;background:#fff;max-width:1440px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2.2rem}p.note{color:#5d6675;max-width:60rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}
.wide{overflow-x:auto}th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid #e6e8ec;white-space:nowrap}
th:first-child,td:first-child,.prose{text-align:left}td.prose{white-space:normal;overflow-wrap:anywhere;min-width:12rem}
td{vertical-align:top}th{color:#5d6675;font-weight:600;vertical-align:bottom}
img{max-width:100%}dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem}
dt{color:#5d6675}dd{margin:0;overflow-wrap:anywhere}.tiles{display:flex;flex-wrap:wrap;gap:.7rem}
figure{margin:0;width:200px}figcaption{font-size:.78rem;color:#5d6675;overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){body{background:#15181e;color:#e4e7ec}th,td{border-color:#2c313b}
img.plot{background:#fff}th,dt,p.note,figcaption{color:#98a1b1}}
"""


def write_page(path: Path, page: Page) -> None:
    """Write the page as one HTML file, replacing an older one. Raises OutputError."""
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(fact)}</dd>" for name, fact in page.facts)
    parts = "".join(_part(part) for part in page.parts)
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(page.title)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(page.title)}</h1><dl>{facts}</dl>{parts}</html>\n"
    )
    write_whole(path, text.encode())


def _part(part: Table | Plot | Tiles) -> str:
    note = f'<p class="note">{escape(part.note)}</p>' if part.note else ""
    match part:
        case Table():
            body = _html_table(part)
        case Plot():
            body = f'<img class="plot" alt="{escape(part.title)}" src="{_uri("png", part.png)}">'
        case Tiles():
            body = f'<div class="tiles">{"".join(map(_html_tile, part.tiles))}</div>'
    return f"<h2>{escape(part.title)}</h2>{note}{body}"


def _html_table(table: Table) -> str:
    kinds = [' class="prose"' if column in table.prose else "" for column in table.columns]
    head = "".join(f"<th{kind}>{escape(column)}</th>" for column, kind in zip(table.columns, kinds, strict=True))
    rows = (
        "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)) for row in table.rows
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _html_tile(tile: Tile) -> str:
    return (
        f'<figure><img alt="{escape(tile.caption)}" src="{_uri("jpeg", _jpeg(tile))}">'
        f"<figcaption>{escape(tile.caption)}</figcaption></figure>"
    )


def drawn(tile: Tile) -> Image:
    """Return the tile's picture with its joints: the true ones white, the found ones in the fingers' colours."""
    import cv2
    import numpy as np

    from hamba_core.hand import BONES
    from stages.overlay import draw_skeleton

    image = tile.image.copy()
    if tile.found is not None:
        draw_skeleton(image, tile.found)
    if tile.true is not None:
        points = np.round(tile.true * 16).astype(int).tolist()
        for parent, child in BONES:
            cv2.line(image, points[parent], points[child], (255, 255, 255), 1, cv2.LINE_AA, 4)
    return image


def _jpeg(tile: Tile) -> bytes:
    import cv2

    image = drawn(tile)
    return bytes(cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1])


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{b64encode(content).decode()}"


def number(value: float | None, digits: int = 1) -> str:
    """Return a number as text for a table, or a dash if there is none."""
    return "–" if value is None else f"{value:.{digits}f}"
