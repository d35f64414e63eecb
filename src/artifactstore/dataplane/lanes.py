"""Lanes: the steps that one upload's blocks go through, in order, worked off by a few threads for all uploads.

A lane holds what waits for its step. A thread works on it as long as something waits, and lets it go to the end of the
line when others wait for a thread: no upload keeps another from its turn, a slow sender holds no thread, and to hand a
block over costs no more than a queue's put and get.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue


class LaneThreads:
    """At most `count` threads, started as they are needed."""

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._line: SimpleQueue[_Turn | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)  # threads that wait, and that nobody counts on yet
        self._starting = threading.Lock()
        self._threads: list[threading.Thread] = []

    def queue(self, turn: _Turn) -> None:
        """Call `turn` in a thread. It must not raise."""
        self._line.put(turn)
        if not self._idle.acquire(blocking=False):
            self._start()

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for a thread."""
        return not self._line.empty()

    def _start(self) -> None:
        with self._starting:
            if len(self._threads) < self._count:
                name = f"{self._name}-{len(self._threads)}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()

    def _work(self) -> None:
        while True:
            turn = self._line.get()
            if turn is not None:
                turn()
                self._idle.release()
                continue
            last = self._line.empty()
            self._line.put(None)  # behind what is queued still, and for the next thread
            if last:
                return

    def close(self) -> None:
        """Let what is queued end, and the threads. Blocking; idempotent. Nothing may be queued after it."""
        self._line.put(None)
        for thread in self._threads:
            thread.join()


type _Turn = Callable[[], None]


class Lane[T]:
    """What waits for one step of one upload. `step` gets at most `most` items at once, and must not raise."""

    def __init__(self, threads: LaneThreads, step: Callable[[list[T]], None], most: int) -> None:
        self._threads = threads
        self._step = step
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[T] = deque()
        self._queued = False  # a thread works on it, or will

    def give(self, item: T) -> None:
        """Let `item` take the step after those that were given before."""
        with self._lock:
            self._waiting.append(item)
            if self._queued:
                return
            self._queued = True
        self._threads.queue(self._turn)

    def _turn(self) -> None:
        while True:
            with self._lock:
                items = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            self._step(items)
            with self._lock:
                if not self._waiting:
                    self._queued = False
                    return
            if self._threads.wanted:
                self._threads.queue(self._turn)
                return
