from .launch import viewer_process as viewer_process
from .window import HandWindow as HandWindow
