from .events import Events as Events, EventSettings as EventSettings
from .resemblance import INVOLVED as INVOLVED, strengths as strengths
