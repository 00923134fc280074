from .merge_by_time import in_time as in_time
from .resampling import resampled as resampled
from .tracks import ROW as ROW, Rows as Rows, Take as Take, Track as Track, take_from as take_from
