from .blocks import SS2D as SS2D, VSSDecoder as VSSDecoder, fault_of_scan as fault_of_scan
from .scan import ScanChoice as ScanChoice, ScanKernel as ScanKernel, choose_scan as choose_scan
