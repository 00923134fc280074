from .events import Events as Events, EventSettings as EventSettings
from .strengths import INVOLVED as INVOLVED, strengths as strengths
