"""Make random weights of the released size, or tiny ones: FOLDER/release and FOLDER/hamba.safetensors.

python make_weights.py FOLDER [tiny]
"""

import sys
import time
from pathlib import Path

from hamba_core.hand import load_generic_hand
from hamba_core.network import RELEASED, BackboneConfiguration, DecoderConfiguration, HambaConfiguration
from hamba_core.weights import convert_release, write_random_release


def make_weights(folder: Path, configuration: HambaConfiguration) -> None:
    """Write both forms; the converted file appears under its name once it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    release = write_random_release(folder / "release", configuration)
    convert_release(release, folder / "part.safetensors", load_generic_hand())
    (folder / "part.safetensors").rename(folder / "hamba.safetensors")


if __name__ == "__main__":
    decoder = DecoderConfiguration(depths=(1, 2), width=16, state=1, dt_rank=1)
    tiny = HambaConfiguration(decoder, decoder, BackboneConfiguration(32, 2, 128))
    begin = time.perf_counter()
    make_weights(Path(sys.argv[1]), tiny if "tiny" in sys.argv[2:] else RELEASED)
    sys.stdout.write(f"made in {time.perf_counter() - begin:.1f} s\n")
