"""`hamba retarget`: joint angles of a robot's hands."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hamba_core.errors import ConfigurationError, NoHandsError
from hamba_core.text import counted
from pipeline.commands.options import ClientKey, ServerKey, Shown, Take
from pipeline.commands.watching import is_recording
from stages.common.address import DEFAULT_ADDRESS

if TYPE_CHECKING:
    from viewers.robots.retarget import Following, Retargeter, RetargetSettings, RobotFrame, RobotHand

KEYS = "space: let go, take up; r: re-align the wrist; Ctrl-C ends"


def retarget(
    address: Shown = DEFAULT_ADDRESS,
    robot: Annotated[
        str,
        typer.Option(
            help="ability, allegro, inspire, leap, shadow or svh; a configuration (.yml); or a .urdf with --config.",
            metavar="NAME|FILE",
            show_default=False,
        ),
    ] = "",
    config: Annotated[
        Path | None, typer.Option(help="With a URDF: the meaning of its links, in dex-retargeting's format.")
    ] = None,
    side: Annotated[str, typer.Option(help="left, right or both.")] = "both",
    method: Annotated[
        str | None,
        typer.Option(
            help="dexpilot, which closes pinches, or vector. \\[default: dexpilot, or the configuration's type]",
            show_default=False,
        ),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(help="Scale of the robot's hand. \\[default: the ratio of their reaches]", min=0.05, max=20),
    ] = None,
    smoothing: Annotated[
        float, typer.Option(metavar="S", min=0, max=2, help="Time constant; messages say how much it delays.")
    ] = 0.03,
    speed: Annotated[
        float, typer.Option(min=0.01, max=100, help="Largest joint speeds, as a multiple of those in the URDF.")
    ] = 1.0,
    wrist_speed: Annotated[float, typer.Option(metavar="M/S", min=0.001, max=100)] = 1.0,
    wrist_turning: Annotated[float, typer.Option(metavar="RAD/S", min=0.001, max=100)] = 3.0,
    wrist_scale: Annotated[float, typer.Option(min=0.01, max=100, help="Scale of the wrist's motion.")] = 1.0,
    unseen: Annotated[str, typer.Option(help="While the hand is unseen: hold, or relax after a second.")] = "hold",
    clutch: Annotated[
        str,
        typer.Option(
            help="none; key (space); or gesture: thumb to little finger, index and middle straight, half a second."
        ),
    ] = "none",
    publish: Annotated[
        str | None,
        typer.Option(help="Address to publish robot/STREAM on. \\[default: tcp://127.0.0.1:5567]", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="For a recording: folder for .npz and .csv. \\[default: the recording's]")
    ] = None,
    reach: Annotated[
        bool, typer.Option("--reach", help="For a recording: also search for the best that the robot can reach (slow).")
    ] = False,
    take: Take = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier files.")] = False,
    json: Annotated[bool, typer.Option("--json", help="For a recording: print the numbers as JSON.")] = False,
    server_key: ServerKey = None,
    client_key: ClientKey = None,
) -> None:
    """Make robot hands follow published or recorded hands: joint angles within limits, and the wrist.

    Live it publishes on --publish. Of a recording it writes ROBOT.npz and a .csv for each side, and how well it
    followed.
    """
    from dataclasses import replace
    from typing import get_args

    from viewers.robots.retarget import CLUTCHES, METHODS, ROBOTS, RetargetSettings, Unseen, robot_hand

    if not robot:
        raise ConfigurationError(f"--robot: expected one of {', '.join(ROBOTS)}, or a file of yours, found none")
    for name, value, known in (
        ("side", side, ("left", "right", "both")),
        ("method", method, METHODS),
        ("unseen", unseen, get_args(Unseen)),
        ("clutch", clutch, CLUTCHES),
    ):
        if value is not None and value not in known:
            raise ConfigurationError(f"--{name}: expected {', '.join(known)}, found {value!r}")
    settings = RetargetSettings(
        method=method,  # type: ignore[arg-type]  # checked above, as the others
        smoothing=smoothing,
        speed=speed,
        wrist_speed=wrist_speed,
        wrist_turning=wrist_turning,
        wrist_scale=wrist_scale,
        unseen=unseen,  # type: ignore[arg-type]
        clutch=clutch,  # type: ignore[arg-type]
    )
    hands = tuple(
        hand if scale is None else replace(hand, scaling=scale)
        for each in ("left", "right")
        if side in (each, "both")
        for hand in [robot_hand(robot, each, config)]
    )
    recorded = is_recording(address, take, server_key, client_key)
    if recorded and publish is not None:
        raise ConfigurationError(
            "--publish: expected hands that are published, found a recording; hamba play publishes one"
        )
    if not recorded and (out is not None or reach or json):
        raise ConfigurationError("--out, --reach and --json: expected a recording, found an address")
    if recorded:
        _follow_recording(Path(address), take, hands, settings, out, reach=reach, overwrite=overwrite, json=json)
    else:
        _follow_live(address, hands, settings, publish, server_key, client_key)


def _follow_recording(
    path: Path, take: int | None, hands: tuple["RobotHand", ...], settings: "RetargetSettings", out: Path | None, *,
    reach: bool, overwrite: bool, json: bool,
) -> None:  # fmt: skip
    from pipeline.given_names import recording_in
    from pipeline.terminal import print_json
    from stages.common.terminal import tell
    from stages.recording import read_recording
    from viewers.robots.retarget import Retargeter, measured, retarget_all, targets_of, write_csv, write_npz

    recording = read_recording(recording_in(path), take)
    if recording.run.source.stills:
        raise ConfigurationError(f"{path}: expected a recording of a video, found one of single pictures")
    retargeter = Retargeter(hands, settings)
    name, sides = hands[0].name, [hand.side for hand in hands]
    files = targets_of(out or recording.path.parent, recording.path.stem, name, sides, overwrite=overwrite)
    done = retarget_all(recording.results(), retargeter, name)
    numbers = {each: measured(done, retargeter, each, every=10 if reach else 0) for each in sides}
    if not any(numbers.values()):
        raise NoHandsError(f"{recording.path}: expected a {' or '.join(sides)} hand to follow, found none")
    write_npz(done, files["npz"])
    for each in sides:
        write_csv(done, each, files[each])
    if json:
        print_json({"robot": name, "written": list(files.values()), "sides": {s: _tree(n) for s, n in numbers.items()}})
        return
    for each, found in numbers.items():
        tell(f"{each}: {'never seen' if found is None else _summary_line(found)}")
    for file in files.values():
        tell(f"wrote {file}")


def _tree(found: "Following | None") -> dict[str, Any] | None:
    return None if found is None else {k: None if v != v else v for k, v in found._asdict().items()}


def _summary_line(found: "Following") -> str:
    best = "" if found.reachable != found.reachable else f", {found.reachable:.1f} at best"
    return (
        f"{counted(found.frames, 'frame')} followed, fingertips {found.error:.1f} mm off ({found.solved:.1f} before "
        f"smoothing and limits of speed{best}), {found.step_ms:.2f} ms a step"
    )


def _follow_live(
    address: str, hands: tuple["RobotHand", ...], settings: "RetargetSettings", publish: str | None,
    server_key: Path | None, client_key: Path | None,
) -> None:  # fmt: skip
    from viewers.client import HandClient
    from viewers.robots.retarget import DEFAULT_ROBOT_ADDRESS, Retargeter, RobotPublisher
    from viewers.terminal_keys import TerminalKeys
    from viewers.terminal_line import TerminalLine
    from viewers.watch import Watch

    retargeter = Retargeter(hands, settings)
    names = {hand.side: retargeter.names(hand.side) for hand in hands}
    publisher = RobotPublisher(publish or DEFAULT_ROBOT_ADDRESS, hands[0].name, names)
    try:
        with (
            suppress(KeyboardInterrupt),
            HandClient(address, server_key=server_key, client_key=client_key) as client,
            TerminalKeys() as keys,
            TerminalLine() as line,
        ):
            watch = Watch(client)
            line.say(f"{hands[0].name} on {publisher.address}" + (f"; {KEYS}" if keys.available else ""))
            if settings.clutch == "key" and not keys.available:
                raise ConfigurationError("--clutch key: expected a terminal to press space at, found none")
            frame = None
            while True:
                message = client.latest(timeout=0.05)
                _obey(keys.pressed(), retargeter)
                if message is not None:
                    frame = retargeter.step(message.result)
                    publisher.publish(frame, message.clock)
                    watch.shown(message)
                if line.due:
                    numbers = watch.numbers()
                    line.show(numbers.words, f"{numbers.line()}  {_frame_line(frame)}")
    finally:
        publisher.close()


def _obey(keys: str, retargeter: "Retargeter") -> None:
    for key in keys:
        if key == " ":
            retargeter.toggle()
        elif key == "r":
            retargeter.realign()


def _frame_line(frame: "RobotFrame | None") -> str:
    hands = frame.hands if frame is not None else ()
    return ", ".join(f"{hand.side} {hand.state}{' (limits)' if hand.held_back else ''}" for hand in hands)
