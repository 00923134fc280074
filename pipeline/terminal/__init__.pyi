from .display import (
    LiveLine as LiveLine,
    fallback_text as fallback_text,
    live_progress as live_progress,
    print_report as print_report,
    share_bar as share_bar,
)
from .documents import keep_report as keep_report, print_json as print_json
from .errors import (
    ABANDONED_PREFIX as ABANDONED_PREFIX,
    INTERRUPTED as INTERRUPTED,
    leave as leave,
    run_app as run_app,
    status_with_output as status_with_output,
    with_notes as with_notes,
)
from .run_exports import (
    export_results as export_results,
    export_settings as export_settings,
    missing_exports as missing_exports,
)
from .session import (
    report_tree as report_tree,
    run_session as run_session,
    run_stoppable as run_stoppable,
    run_tidily as run_tidily,
    written_in as written_in,
)
from .streams import mend_streams as mend_streams
