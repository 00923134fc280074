from .manifest import Video as Video, videos_in as videos_in
from .progress import corpus_progress as corpus_progress, ending_words as ending_words
from .reporting import write_report as write_report
from .running import run_corpus as run_corpus
from .segments import Cut as Cut, Segment as Segment, SegmentEntry as SegmentEntry, segments_of as segments_of
from .settings import CorpusSettings as CorpusSettings
from .storage import Entry as Entry, Storage as Storage, segments_folder as segments_folder
from .totals import Totals as Totals
