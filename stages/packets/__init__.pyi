from .detections import (
    Detections as Detections,
    HandBox as HandBox,
    HandLook as HandLook,
)
from .frames import (
    FARTHEST as FARTHEST,
    Frame as Frame,
    FrameMeta as FrameMeta,
    Image as Image,
    WorldPose as WorldPose,
)
from .hands import (
    EVENT_KINDS as EVENT_KINDS,
    EVENT_PHASES as EVENT_PHASES,
    EventKind as EventKind,
    EventPhase as EventPhase,
    FrameResult as FrameResult,
    Hand as Hand,
    HandEvent as HandEvent,
    HandTopology as HandTopology,
)
from .runs import (
    Choice as Choice,
    ClockAnchor as ClockAnchor,
    RunInfo as RunInfo,
    SourceInfo as SourceInfo,
)
from .status import (
    Percentiles as Percentiles,
    SourceState as SourceState,
    SourceStatus as SourceStatus,
    StageStatus as StageStatus,
    Status as Status,
    TrackCounts as TrackCounts,
)
