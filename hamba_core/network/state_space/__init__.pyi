from .blocks import (
    SS2D as SS2D,
    Stage as Stage,
    VSSBlock as VSSBlock,
    VSSDecoder as VSSDecoder,
    fault_of_scan as fault_of_scan,
)
from .cross_scan import scan_crosswise as scan_crosswise
from .scan import (
    ScanChoice as ScanChoice,
    ScanKernel as ScanKernel,
    choose_scan as choose_scan,
    selective_scan as selective_scan,
)
