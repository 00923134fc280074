from .merging import merge_by_time as merge_by_time
from .resampling import UNEVEN as UNEVEN, has_even_pace as has_even_pace, resampled as resampled
from .tracks import (
    HAND_FIELDS as HAND_FIELDS,
    ROW as ROW,
    Rows as Rows,
    Selection as Selection,
    Track as Track,
    select_tracks as select_tracks,
)
