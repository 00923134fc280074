from .framing import Jitter as Jitter
from .generator import render_crop as render_crop
from .settings import DATA_VERSION as DATA_VERSION, CropSettings as CropSettings
from .shards import (
    Shard as Shard,
    fill_folder as fill_folder,
    read_shard as read_shard,
    shard_path as shard_path,
    write_shard as write_shard,
)
from .truth import CropTruth as CropTruth, Sight as Sight, TrainingCrop as TrainingCrop
