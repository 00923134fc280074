from .archives import (
    ARCHIVE_ERRORS as ARCHIVE_ERRORS,
    load_arrays as load_arrays,
    read_npz as read_npz,
    unpack_entry as unpack_entry,
)
from .documents import (
    DocumentError as DocumentError,
    decode_json as decode_json,
    parse_document as parse_document,
    parse_json as parse_json,
    parse_yaml as parse_yaml,
    read_text as read_text,
)
from .pickled_arrays import (
    read_pickled_arrays as read_pickled_arrays,
    read_pickled_records as read_pickled_records,
)
from .pickled_values import NotArraysError as NotArraysError
