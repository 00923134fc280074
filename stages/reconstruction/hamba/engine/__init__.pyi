from .cuda import Cuda as Cuda
from .device import Cpu as Cpu
from .engine import DeviceEngine as DeviceEngine, Engine as Engine
from .replicas import Replicas as Replicas
from .rows import CropOutput as CropOutput, read_row as read_row
from .slots import Answer as Answer, Crop as Crop
