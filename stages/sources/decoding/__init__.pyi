from .access_units import whole_pictures as whole_pictures
from .decoding import (
    NoVideoError as NoVideoError,
    Readable as Readable,
    VideoDecoder as VideoDecoder,
    open_container as open_container,
    open_decoder as open_decoder,
    reason_of as reason_of,
)
from .demuxers import formats_of_address as formats_of_address, reads as reads
from .gaps import IN_PIECES as IN_PIECES
from .orientation import UPRIGHT as UPRIGHT, Orientation as Orientation
from .packet_times import stamp_of as stamp_of, wall_time_of as wall_time_of
from .pixels import PixelConverter as PixelConverter, orientation_of as orientation_of
from .seeking import can_seek as can_seek, frames_from as frames_from
from .video_file import VideoFile as VideoFile
