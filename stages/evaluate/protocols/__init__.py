"""Protocols: each a file, listed here by name.

Importing this table loads no heavy library; a protocol loads what it needs when it is fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from stages.evaluate.protocols.contract import EvaluationProtocol
from stages.evaluate.protocols.knn import NearestNeighbours
from stages.evaluate.protocols.linear_probe import LinearProbe
from stages.evaluate.protocols.prototype import Prototype
from stages.evaluate.protocols.zero_shot import ZeroShot

PROTOCOLS: Mapping[str, EvaluationProtocol[Any]] = MappingProxyType(
    {
        ZeroShot.name: ZeroShot(),
        LinearProbe.name: LinearProbe(),
        Prototype.name: Prototype(),
        NearestNeighbours.name: NearestNeighbours(),
    }
)
"""Every protocol by name, with its default parameters."""
