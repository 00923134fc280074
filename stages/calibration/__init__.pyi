from .boards import (
    Board as Board,
    charuco as charuco,
    chessboard as chessboard,
    draw_charuco as draw_charuco,
    tag as tag,
)
from .picture import picture_of as picture_of
from .solving import Solution as Solution, solve as solve
from .views import View as View, Views as Views
