from .guard import is_loopback as is_loopback, new_token as new_token
from .web import HandPage as HandPage
