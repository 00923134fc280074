"""Several estimators of a process share one network: the hands that wait, of all of them, go through it together.

The engine is driven by a thread of its own, since it belongs to no stage. While it is busy requests gather, a queue for
each estimator; the next batch takes one request of every queue in turn until it is full, so that a busy camera does not
keep a quiet one waiting.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Condition, Event, Lock, Thread
from typing import TYPE_CHECKING

from hamba_core.arrays import Float32Array
from hamba_core.errors import PipelineError
from hamba_core.hand import HandModel
from stages.packets import Choice

if TYPE_CHECKING:
    from stages.reconstruction.hamba.engine import Answer, Crop, Engine
    from stages.reconstruction.hamba.opening import Model


class SharedModel:
    """A network that is opened by the first estimator that joins, and closed when the last one has left.

    `hand` is its hand model. Safe to use from any thread. Estimators leave, and join, while others go on.
    """

    def __init__(self, open_model: "Callable[[], Model]", hand: HandModel) -> None:
        self.hand = hand
        self._open_model = open_model
        self._lock = Lock()
        self._model: Model | None = None
        self._dispatcher: Dispatcher | None = None

    def join(self) -> "Model":
        """Return the model as one estimator uses it; closing its engine is leaving. Raises what opening raises."""
        with self._lock:
            if self._model is None or self._dispatcher is None:
                self._model = self._open_model()
                self._dispatcher = Dispatcher(self._model.engine)
            return replace(self._model, engine=self._dispatcher.join(self._left))

    def _left(self) -> None:
        with self._lock:
            if self._dispatcher is not None and self._dispatcher.close_if_deserted():
                self._model = self._dispatcher = None


class Dispatcher:
    """A dispatcher drives an engine in a thread of its own, for its members."""

    def __init__(self, engine: "Engine") -> None:
        self.engine = engine
        self._members: deque[Member] = deque()  # the first has the next turn
        self._changed = Condition()
        self._closing = False
        self._thread = Thread(target=self._serve, name="hamba engine", daemon=True)
        self._thread.start()

    def join(self, on_leave: Callable[[], None] = lambda: None) -> "Member":
        """Return the engine as one more member uses it; `on_leave` is called once that member has left."""
        member = Member(self, on_leave)
        with self._changed:
            self._members.append(member)
        return member

    @property
    def members(self) -> "tuple[Member, ...]":
        """The members that have joined and not left."""
        return tuple(self._members)

    def put(self, member: "Member", request: "_Request") -> None:
        """Queue a request, to be done when its turn comes. Raises PipelineError once the member has left."""
        with self._changed:
            if member not in self._members:
                raise PipelineError("a shared hamba engine: expected one that was not closed; join again")
            member.waiting.append(request)
            self._changed.notify()

    def leave(self, member: "Member") -> None:
        """Forget a member, and what it waits for."""
        with self._changed:
            if member in self._members:
                self._members.remove(member)

    def close_if_deserted(self) -> bool:
        """Finish what is under way and close the engine if the last member has left; return whether it has."""
        with self._changed:
            if self._members or self._closing:
                return self._closing
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self.engine.close()
        return True

    def _serve(self) -> None:
        """Begin the requests that wait while the engine has room for them; else finish the oldest batch."""
        under_way: deque[tuple[list[_Request], Answer]] = deque()
        while True:
            room = len(under_way) < self.engine.in_flight
            requests = self._take(wait=not under_way) if room else []
            if requests:
                crops = [crop for request in requests for crop in request.crops]
                try:
                    under_way.append((requests, self.engine.begin(crops)))
                except Exception as error:  # noqa: BLE001 - raised where the answers are waited for
                    _fail(requests, error)
            elif under_way:
                _finish(*under_way.popleft())
            elif self._closing:
                return

    def _take(self, *, wait: bool) -> "list[_Request]":
        """Return requests of all members in turn, as many as fill a batch; the first is taken whatever its size."""
        taken: list[_Request] = []
        hands = 0
        with self._changed:
            while wait and not self._closing and self._next_waiting() is None:
                self._changed.wait()
            while (member := self._next_waiting()) is not None:
                hands += len(member.waiting[0].crops)
                if taken and hands > self.engine.largest:
                    break  # it is the first of the next batch
                taken.append(member.waiting.popleft())
                self._members.rotate(-1)
        # A batch has pictures of one shape: requests of cameras that share a shape are put next to one another.
        return sorted(taken, key=lambda request: request.shape)

    def _next_waiting(self) -> "Member | None":
        """Bring the waiting member whose turn it is to the front, and return it. The lock is held."""
        for _ in range(len(self._members)):
            if self._members[0].waiting:
                return self._members[0]
            self._members.rotate(-1)
        return None


class Member:
    """A shared engine as one estimator sees it."""

    def __init__(self, dispatcher: Dispatcher, on_leave: Callable[[], None]) -> None:
        self._dispatcher, self._on_leave = dispatcher, on_leave
        self.waiting: deque[_Request] = deque()

    @property
    def in_flight(self) -> int:
        """The number of calls at once that the shared engine gains from."""
        return self._dispatcher.engine.in_flight

    @property
    def largest(self) -> int:
        """The most hands in a batch of the shared engine."""
        return self._dispatcher.engine.largest

    def begin(self, crops: "Sequence[Crop]") -> "Answer":
        """Queue crops, to be done together with those of others. Raises PipelineError.

        The answer raises what the engine raises.
        """
        request = _Request(crops)
        self._dispatcher.put(self, request)
        return request

    def choices(self) -> tuple[Choice, ...]:
        """Return the engine's choices, and that it is shared."""
        together = Choice(
            "network shared by", str(len(self._dispatcher.members)), "hands of all go through it together"
        )
        return (*self._dispatcher.engine.choices(), together)

    def close(self) -> None:
        """Leave the shared engine; the other members go on."""
        self._dispatcher.leave(self)
        self._on_leave()


class _Request:
    """Crops of one member, and their rows once they are there."""

    def __init__(self, crops: "Sequence[Crop]") -> None:
        self.crops = crops
        self.shape = crops[0].picture.shape if crops else ()
        self._done = Event()
        self._rows: Float32Array | None = None
        self._error: Exception | None = None

    def settle(self, rows: "Float32Array | None", error: Exception | None = None) -> None:
        """Give the request its rows, or what to raise in their place."""
        self._rows, self._error = rows, error
        self._done.set()

    def __call__(self) -> "Float32Array":
        self._done.wait()
        if self._rows is None:
            raise self._error or PipelineError("a shared hamba engine: expected rows, found none")
        return self._rows


def _finish(requests: "list[_Request]", answer: "Answer") -> None:
    try:
        rows = answer()
    except Exception as error:  # noqa: BLE001 - raised where the answers are waited for
        _fail(requests, error)
        return
    begin = 0
    for request in requests:
        end = begin + len(request.crops)
        request.settle(rows[begin:end])
        begin = end


def _fail(requests: "list[_Request]", error: Exception) -> None:
    for request in requests:
        request.settle(None, error)
