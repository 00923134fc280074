"""Look into a LeRobot data set of hands, without lerobot.

hamba run 'synthetic:?acts=gestures' --out out/gestures
hamba export out/gestures --to lerobot --task "show gestures"
python docs/examples/09_lerobot.py out/gestures/hands-lerobot
"""

import json
import sys
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq


def main(folder: str) -> None:
    dataset = Path(folder)
    info = json.loads((dataset / "meta/info.json").read_text())
    print(f"{info['total_episodes']} episodes, {info['total_frames']} frames at {info['fps']} frames/s")
    for episode in pq.read_table(dataset / "meta/episodes").to_pylist():
        place = {"chunk_index": episode["data/chunk_index"], "file_index": episode["data/file_index"]}
        table = pq.read_table(dataset / info["data_path"].format(**place))
        valid = np.array(table["observation.right.valid"])
        wrist = np.array(table["observation.right.wrist"].to_pylist())[:, :3]
        path = np.linalg.norm(np.diff(wrist, axis=0), axis=1)[valid[1:] & valid[:-1]].sum()
        tasks = ", ".join(episode["tasks"])
        print(
            f"episode {episode['episode_index']}: {tasks}, {episode['length']} frames, right hand in "
            f"{valid.mean():.0%}, its wrist went {path:.2f} m"
        )
        if info["video_path"]:
            name = info["video_path"].format(video_key="observation.images.camera", **place)
            with av.open(str(dataset / name)) as video:
                print(f"  {sum(1 for _ in video.decode(video=0))} pictures")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
