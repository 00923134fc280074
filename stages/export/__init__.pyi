from .dispatch import (
    Exporter as Exporter,
    export as export,
    export_as as export_as,
    export_dataset as export_dataset,
    target_of as target_of,
)
from .settings import FORMATS as FORMATS, ExportSettings as ExportSettings, Format as Format, formats_in as formats_in
from .tracks import Selection as Selection, Track as Track
