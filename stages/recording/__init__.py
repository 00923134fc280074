"""Record: everything into one MCAP file, and read it back (`stages.recording.reader`)."""

from stages.recording.recorder import Recorder, RecordingSettings

__all__ = ["Recorder", "RecordingSettings"]
