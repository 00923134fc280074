"""Settings of single videos of a corpus that do nothing are told, each once, as those of the whole corpus are."""

import logging

from hamba_core.errors import ConfigurationError
from pipeline.corpus.manifest import Video
from pipeline.settings import Settings
from pipeline.without_effect import corpus_settings_without_effect

logger = logging.getLogger(__name__)

_MOST = 1000  # different settings that are looked at: each video may have its own calibration


class Unused:
    """It is told of each video, and says what its own settings set in vain."""

    def __init__(self, settings: Settings, *, recordings: bool) -> None:
        self._settings, self._recordings = settings, recordings
        self._seen: set[tuple[tuple[str, str], ...]] = {()}
        self._said = {choice.subject for choice in corpus_settings_without_effect(settings, recordings=recordings)}

    def of(self, video: Video) -> None:
        """Look at a video's own settings. Settings that are wrong are left to who does the video."""
        if video.settings in self._seen or len(self._seen) > _MOST:
            return
        self._seen.add(video.settings)
        try:
            settings = video.settings_in(self._settings)
        except ConfigurationError:
            return
        for choice in corpus_settings_without_effect(settings, recordings=self._recordings):
            if choice.subject not in self._said:
                self._said.add(choice.subject)
                logger.warning("%s: %s is without effect: %s", video.name, choice.subject, choice.reason)
