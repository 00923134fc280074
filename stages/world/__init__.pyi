from .settings import WorldSettings as WorldSettings
from .source import WorldSource as WorldSource
