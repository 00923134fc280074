from .format import RECORDING as RECORDING, RecordedRun as RecordedRun
from .mcap_file import MAGIC as MAGIC
from .overview import Overview as Overview, mean_of as mean_of, read_overview as read_overview
from .reader import Recording as Recording, read_recording as read_recording
from .recorder import Recorder as Recorder, RecordingSettings as RecordingSettings
from .summary import Summary as Summary
from .timeline_plot import plot_timeline as plot_timeline
