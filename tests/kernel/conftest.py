"""Every test of this directory runs once for each kernel that this CPU can run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from artifactstore.hashing import active_kernel, kernels
from artifactstore.hashing._kernel import lib


@pytest.fixture(params=kernels(), autouse=True, scope="module")
def kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    library: Any = lib
    before = active_kernel()
    assert library.ah_select(request.param.encode()) == library.AH_OK
    yield request.param
    assert active_kernel() == request.param
    assert library.ah_select(before.encode()) == library.AH_OK
