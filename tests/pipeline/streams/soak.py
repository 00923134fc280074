"""Half an hour of a live run on a camera on which something goes wrong all the time: `make test-soak`.

    python -m tests.pipeline.streams.soak [--minutes 30] [--seed N] [--out out/soak]

The camera shows hands and, in a corner, the time. Faults come at random, each followed by some seconds of peace. What
is asked of the run: no result, from `CALM` seconds after a fault on, older than the bound; memory, threads and
descriptors as many at the end as at first; latency as at first; conservation; and a normal end. It writes a plot
(soak.png) and its numbers (soak.json), and exits with 1 where something was not as it should be.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from stages.assets import CLIP
from tests.pipeline.streams.harness import Consumer, conserved
from tests.stages.sources.live.cameras.harness import CameraServer

PEACE = (4.0, 9.0)  # s between two faults
CALM = 2.5  # s after a fault, until when the run may take to be back: two, and half an interval between key frames
RATE, KEY_INTERVAL = 30.0, 1.0
SLACK = 1.0  # s, for a machine that has other things to do
GROWTH = 24 * 2**20  # bytes by which memory may differ
Fault = Callable[[CameraServer, Consumer, random.Random], None]


def _for_a_while(**changes: Any) -> Fault:
    def fault(camera: CameraServer, _: Consumer, chance: random.Random) -> None:
        camera.tell(**changes)
        time.sleep(chance.uniform(1, 6))
        camera.tell(**{name: type(value)() for name, value in changes.items()})

    return fault


def _away(camera: CameraServer, _: Consumer, chance: random.Random) -> None:
    camera.kill()
    time.sleep(chance.uniform(0.2, 5))
    camera.start()
    time.sleep(1.5)  # until its own first key frame


def _hang_up(camera: CameraServer, _: Consumer, chance: random.Random) -> None:
    camera.tell(hang_up=chance.randrange(1 << 30))


def _resize(camera: CameraServer, _: Consumer, chance: random.Random) -> None:
    width, height = chance.choice([(320, 240), (640, 480), (480, 360)])
    camera.tell(width=width, height=height)


def _clock(camera: CameraServer, _: Consumer, chance: random.Random) -> None:
    camera.tell(clock=chance.choice([0.0, 3600.0, -3600.0, 5.0]))


def _held(_: CameraServer, run: Consumer, chance: random.Random) -> None:
    run.hold(chance.uniform(1, 6))


def _starved(_: CameraServer, run: Consumer, chance: random.Random) -> None:
    run.hold_to(0.3, chance.uniform(2, 6))


FAULTS: dict[str, Fault] = {
    "silence": _for_a_while(silent=True),
    "black": _for_a_while(black=True),
    "frozen": _for_a_while(frozen=True),
    "corrupt": _for_a_while(corrupt=0.05),
    "loss": _for_a_while(lose=0.05),
    "away": _away,
    "hangs up": _hang_up,
    "size": _resize,
    "clock": _clock,
    "held": _held,
    "starved": _starved,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="A live run on a camera on which something goes wrong all the time.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--out", type=Path, default=Path("out/soak"))
    parser.add_argument("--no-hands", action="store_true", help="read pictures only, which takes little of a processor")
    given = parser.parse_args()
    chance = random.Random(given.seed)
    given.out.mkdir(parents=True, exist_ok=True)
    say(f"{given.minutes:g} minutes, seed {given.seed}")
    faults: list[tuple[str, float, float]] = []
    behaviour = {"width": 640, "height": 480, "clip": str(CLIP)}
    with (
        CameraServer("rtsp", **behaviour) as camera,
        Consumer(camera.address, 0.0 if given.no_hands else "hands", read_timeout=3.0) as run,
    ):
        run.wait_for_results(30, 120)
        begin = time.monotonic()
        while time.monotonic() < begin + given.minutes * 60:
            time.sleep(chance.uniform(*PEACE))
            name = chance.choice(sorted(FAULTS))
            started = time.monotonic()
            FAULTS[name](camera, run, chance)
            faults.append((name, started, time.monotonic()))
        time.sleep(PEACE[1])
        status, took = run.stop()
        found = judged(run, faults, begin, status, took)
        numbers = {"minutes": given.minutes, "seed": given.seed, **found}
        (given.out / "soak.json").write_text(json.dumps(numbers, indent=1) + "\n")
        plot(run, faults, begin, given.out / "soak.png")
    for line in (*found["numbers"].items(), ("counts", found["counts"]), ("wrong", found["wrong"] or "nothing")):
        say(f"{line[0]}: {line[1]}")
    say(f"wrote {given.out / 'soak.json'} and {given.out / 'soak.png'}")
    return 1 if found["wrong"] else 0


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def calm(faults: list[tuple[str, float, float]], at: float) -> bool:
    """Whether at this time no fault is there, nor was a moment ago."""
    return all(not started <= at < ended + CALM for _, started, ended in faults)


def judged(run: Consumer, faults: list[tuple[str, float, float]], begin: float, status: int, took: float) -> Any:
    """What was measured, and what of it was wrong."""
    wrong: list[str] = []
    ages = [(result["at"], result["age"]) for result in run.since(begin) if calm(faults, result["at"])]
    quarter = (ages[-1][0] - begin) / 4
    early = [age for at, age in ages if quarter <= at - begin < 2 * quarter]
    late = [age for at, age in ages if at - begin >= 3 * quarter]
    usual = median(early)
    oldest = max(age for _, age in ages)
    bound = 2 / RATE + usual + KEY_INTERVAL + SLACK
    statuses = [line["status"] for line in run.lines if "status" in line and line["status"]["frames"]]
    warm = statuses[len(statuses) // 4 :]
    half = len(warm) // 2
    memory = [median(status["memory"] for status in part) for part in (warm[:half], warm[half:])]
    threads = [median(status["threads"] for status in part) for part in (warm[:half], warm[half:])]
    descriptors = [median(status["descriptors"] for status in part) for part in (warm[:half], warm[half:])]
    off = sorted(abs(result["age"] - result["said"]) for result in run.since(begin) if calm(faults, result["at"]))
    checks = {
        f"oldest result {oldest:.2f} s, expected at most {bound:.2f}": oldest <= bound,
        f"median age {usual:.3f} s at first and {median(late):.3f} s at last": median(late)
        < 3 * usual,  # the machine may be busier
        f"memory {memory[0] / 2**20:.0f} MB, then {memory[1] / 2**20:.0f}": memory[1] < memory[0] + GROWTH,
        f"threads {threads[0]:g}, then {threads[1]:g}": threads[1] <= threads[0] + 1,
        f"descriptors {descriptors[0]:g}, then {descriptors[1]:g}": descriptors[1] <= descriptors[0] + 2,
        f"exit status {status}": status == 0,
        f"stopping took {took:.1f} s": took < 2 + 2 * SLACK,
        "conservation": conserved(run.report),
    }
    wrong += [check for check, right in checks.items() if not right]
    return {
        "numbers": {
            "results": len(run.since(begin)),
            "faults": len(faults),
            "age, median s": round(usual, 3),
            "age, largest s, in peace": round(oldest, 3),
            "said age is off by, median s": round(median(off), 4),
            "memory, MB": [round(value / 2**20) for value in memory],
            "stopping, s": round(took, 2),
        },
        "counts": run.report["source"]["counts"],
        "dropped": {part["name"]: part["dropped"] for part in run.report["stages"]},
        "wrong": wrong,
    }


def plot(run: Consumer, faults: list[tuple[str, float, float]], begin: float, path: Path) -> None:
    """Draw ages and memory over time, with the faults."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, figsize=(11, 5.5), sharex=True, height_ratios=[2, 1])
    frozen = [(started, ended + 0.5) for name, started, ended in faults if name == "frozen"]
    results = [
        result
        for result in run.since(begin)  # the clock in a frozen picture stands still
        if not any(started <= result["at"] < ended for started, ended in frozen)
    ]
    times = [(result["at"] - begin) / 60 for result in results]
    above.plot(times, [result["age"] for result in results], ".", ms=1.5, color="#2060a0", label="age of a result")
    colours = {name: plt.colormaps["tab20"](number) for number, name in enumerate(sorted(FAULTS))}
    said: set[str] = set()
    for name, started, ended in faults:
        label = None if name in said else name
        said.add(name)
        width = max(ended, started + 0.3)
        above.axvspan((started - begin) / 60, (width - begin) / 60, color=colours[name], alpha=0.5, lw=0, label=label)
    above.set_yscale("log")
    above.yaxis.set_major_formatter("{x:g}")
    above.set_ylabel("age, s")
    above.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=7, markerscale=4)
    statuses = [line["status"] for line in run.lines if "status" in line and line["status"]["frames"]]
    begun = statuses[0]["elapsed"] if statuses else 0.0
    minutes = [(status["elapsed"] - begun) / 60 for status in statuses]
    below.plot(minutes, [status["memory"] / 2**20 for status in statuses], color="#a04020")
    below.set_ylim(bottom=0)
    below.set_ylabel("memory, MB")
    below.set_xlabel("minutes")
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
