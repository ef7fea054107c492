# SPDX-License-Identifier: Apache-2.0
"""The gate's tests share what does not depend on the arm that is tried."""

from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace

import pytest

from testbed.analysis.gate import files, judge
from testbed.packets.recognition import Recognition


@pytest.fixture(autouse=True, scope="module")
def same_frames() -> Iterator[None]:
    """Two hundred arms get the same frames: what must come of each is worked out once.

    It depends on the frame and the network alone.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "expected", cache(judge.expected))
        patch.setattr(files, "Recognition", SimpleNamespace(of=cache(Recognition.of)))
        yield
