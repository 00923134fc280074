"""The hand's skeleton: names, parents and orders of its joints.

Two orders occur. The *model order* is MANO's: 16 joints that carry rotations (wrist; index, middle,
little, ring, thumb, three each). The *joint order* is what every `joints` array of this project
has: 21 points (wrist, thumb 1-4, index 1-4, middle 1-4, ring 1-4, little 1-4), the tips included.
"""

from typing import Final, Literal

Side = Literal["left", "right"]
SIDES: Final[tuple[Side, Side]] = ("left", "right")

FINGERS: Final = ("thumb", "index", "middle", "ring", "little")

JOINT_NAMES: Final = ("wrist", *(f"{finger}_{i}" for finger in FINGERS for i in range(1, 5)))
JOINT_PARENTS: Final = (-1, *(0 if i == 0 else 4 * f + i for f in range(5) for i in range(4)))
"""Parent of each of the 21 joints; -1 for the wrist."""

BONES: Final = tuple((parent, child) for child, parent in enumerate(JOINT_PARENTS) if parent >= 0)
"""The 20 bones as (parent, child), ordered by child."""

MODEL_FINGERS: Final = ("index", "middle", "little", "ring", "thumb")
MODEL_JOINT_NAMES: Final = ("wrist", *(f"{finger}_{i}" for finger in MODEL_FINGERS for i in range(1, 4)))
MODEL_PARENTS: Final = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
"""Parent of each of the 16 model joints; -1 for the wrist."""

JOINTS_FROM_MODEL: Final = (0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20)
"""Index list that takes [16 model joints, 5 tips (thumb, index, middle, ring, little)] to the joint order."""
