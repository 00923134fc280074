from .dispatch import export as export, target_of as target_of
from .settings import FORMATS as FORMATS, ExportSettings as ExportSettings, Format as Format, formats_in as formats_in
