from .guard import load_secret_key as load_secret_key
from .publisher import Publisher as Publisher
from .settings import PublishSettings as PublishSettings, is_local as is_local
