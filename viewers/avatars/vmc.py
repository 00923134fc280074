"""Hands for VMC receivers: finger bones of a VRM avatar, and the wrists as hand controllers.

https://protocol.vmc.info: an assistant sends to a performer (port 39540), or a performer to a marionette (39539).
Local positions are this person's own bones: receivers that take a model's proportions pass them over.
"""

from collections.abc import Iterator

from hamba_core.arrays import Array
from stages.common.openxr_joints import has_bones
from stages.packets import FrameResult, Hand
from viewers.avatars.humanoid import finger_bones, wrist_tracker
from viewers.avatars.sending import OscMessage


def vmc_messages(result: FrameResult, seconds: float, camera: Array, *, trackers: bool = True) -> Iterator[OscMessage]:
    """Yield the messages of a frame: state, time, then bones and wrist of each hand that is seen.

    `seconds` is the sender's time; `camera` (3,) m is where the camera is in Unity's world, before the person.
    """
    yield OscMessage("/VMC/Ext/OK", (1,))
    yield OscMessage("/VMC/Ext/T", (float(seconds),))
    for hand in best_of_sides(result):
        for bone in finger_bones(hand):
            yield OscMessage("/VMC/Ext/Bone/Pos", (bone.name, *_floats(bone.position), *_floats(bone.rotation)))
        if trackers:
            tracker = wrist_tracker(hand, camera)
            serial = f"hamba-{hand.side}"
            yield OscMessage("/VMC/Ext/Con/Pos", (serial, *_floats(tracker.position), *_floats(tracker.rotation)))


def best_of_sides(result: FrameResult) -> list[Hand]:
    """Return the hands that are seen, of each side the one that agrees best with its picture."""
    best: dict[str, Hand] = {}
    for hand in filter(has_bones, result.hands):
        before = best.get(hand.side)
        if hand.seen and (before is None or (hand.quality or 0.0) > (before.quality or 0.0)):
            best[hand.side] = hand
    return list(best.values())


def _floats(values: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
