from .engine.cuda import Cuda as Cuda
from .engine.device import Cpu as Cpu, Device as Device, Stream as Stream, Work as Work
from .engine.engine import DeviceEngine as DeviceEngine
from .engine.rows import row_width as row_width, write_rows as write_rows
from .engine.slots import Crop as Crop, Slot as Slot
from .estimator import HambaEstimator as HambaEstimator
from .fusing import fuse as fuse
from .opening import Model as Model, open_model as open_model
from .settings import NetworkSettings as NetworkSettings
from .sharing import SharedModel as SharedModel
