from .assembly import assemble as assemble, hand_stages as hand_stages
from .face.hand_pipeline import HandPipeline as HandPipeline
from .face.tracked_hands import TrackedHands as TrackedHands, track_hands as track_hands
from .settings import Settings as Settings, load_settings as load_settings
