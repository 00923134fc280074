from .merging import merge_by_time as merge_by_time
from .resampling import UNEVEN as UNEVEN, has_even_pace as has_even_pace, resampled as resampled
from .rows import HAND_FIELDS as HAND_FIELDS, ROW as ROW, Rows as Rows
from .selection import Selection as Selection, select_tracks as select_tracks
from .track_files import Track as Track
