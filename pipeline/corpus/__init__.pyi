from .manifest import Video as Video, videos_in as videos_in
from .progress import corpus_progress as corpus_progress
from .reporting import write_report as write_report
from .running import CorpusSettings as CorpusSettings, run_corpus as run_corpus
from .storage import Entry as Entry, Storage as Storage
from .totals import Totals as Totals
