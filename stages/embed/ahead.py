"""Inputs of a model, prepared while it computes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Self

from stages.embed.processor import cores

if TYPE_CHECKING:
    import torch

_AHEAD: Final = 2
"""Blocks that are ready or being made while one is computed; bounds the memory."""


class Ahead:
    """Blocks of inputs in order, each made by one other thread before it is asked for.

    For a GPU the thread also sends them there, from pinned memory beside what is computed.
    """

    def __init__(
        self,
        make: Callable[[slice], torch.Tensor],
        parts: Sequence[slice],
        device: torch.device,
    ) -> None:
        self._make = make
        self._parts = deque(parts)
        self._send = _Sender(device) if device.type == "cuda" else None
        self._ready: deque[tuple[slice, Future[torch.Tensor]]] = deque()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")

    def __enter__(self) -> Self:
        for _ in range(_AHEAD):
            self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __iter__(self) -> Iterator[tuple[slice, torch.Tensor]]:
        while self._ready:
            part, future = self._ready.popleft()
            block = future.result()
            self._begin()
            yield part, block if self._send is None else self._send.received(block)

    def _begin(self) -> None:
        if self._parts:
            part = self._parts.popleft()
            self._ready.append((part, self._pool.submit(self._made, part)))

    def _made(self, part: slice) -> torch.Tensor:
        block = self._make(part)
        return block if self._send is None else self._send.sent(block)


class _Sender:
    """Sends blocks to a GPU on a stream of their own."""

    def __init__(self, device: torch.device) -> None:
        import torch  # only once there is a model

        self._device = device
        self._stream = torch.cuda.Stream(device)

    def sent(self, block: torch.Tensor) -> torch.Tensor:
        """Return a block on the GPU; where it has no memory for more, in pinned memory."""
        import torch  # as above

        pinned = block.pin_memory()
        try:
            with torch.cuda.stream(self._stream):
                there = pinned.to(self._device, non_blocking=True)
        except torch.cuda.OutOfMemoryError:
            return pinned
        self._stream.synchronize()
        return there

    def received(self, block: torch.Tensor) -> torch.Tensor:
        """Return a sent block for use on the current stream."""
        import torch  # as above

        if block.device.type == "cuda":
            block.record_stream(torch.cuda.current_stream(self._device))
        return block


@lru_cache(maxsize=1)
def preparing() -> ThreadPoolExecutor:
    """Return the threads that prepare images, shared by all encoders of this process."""
    return ThreadPoolExecutor(cores(), "prepare", initializer=_alone)


def _alone() -> None:
    """Let this thread compute by itself: torch would start threads for every single image."""
    import threadpoolctl
    import torch  # as above

    torch.get_num_threads()  # sets the thread up, which would undo the limit later
    threadpoolctl.threadpool_limits(1, user_api="openmp")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=preparing.cache_clear)  # a child has none of the threads
