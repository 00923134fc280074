from .dispatch import (
    Exporter as Exporter,
    export as export,
    export_as as export_as,
    export_dataset as export_dataset,
    target_of as target_of,
)
from .formats.parquet import hand_schema as hand_schema, write_table as write_table
from .settings import FORMATS as FORMATS, ExportSettings as ExportSettings, Format as Format, formats_in as formats_in
from .tracks import Selection as Selection, Track as Track
