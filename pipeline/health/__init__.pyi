from .health import Health as Health
from .server import health_server as health_server
