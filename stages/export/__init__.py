"""Export: a recording's hands in the forms that other programs read. `docs/formats.md` describes each of them."""

from stages.export.dispatch import export
from stages.export.settings import FORMATS, ExportSettings, Format, formats_in

__all__ = ["FORMATS", "ExportSettings", "Format", "export", "formats_in"]
