from .batch import run_batch as run_batch, sources_of as sources_of
from .multi_camera import run_cameras as run_cameras
from .task import Outcome as Outcome, Task as Task, perform as perform
