# SPDX-License-Identifier: Apache-2.0
"""The crafted frames of a gate as the file that the client sends them from."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from testbed.lab.machines.machines_json import LAB_MACS
from testbed.model.config import NetworkConfig
from testbed.packets import capture
from testbed.packets.case import Case
from testbed.packets.cases import cases_for, end_markers
from testbed.packets.craft import Wire
from testbed.packets.drawing import Draws, TrialSpace
from testbed.packets.recognition import Recognition
from testbed.packets.schedule import Schedule, schedule


@dataclass(frozen=True)
class FrameSet:
    """All frames of one variant, as a file that each session's client gets once."""

    cases: tuple[Case, ...]
    sending: Schedule
    marker: bytes
    content: bytes
    recognition: Recognition

    @property
    def path(self) -> str:
        """Where the file is in the client; another content has another name."""
        return f"/run/testbed/gate-{hashlib.sha256(self.content).hexdigest()[:16]}.pcap.gz"


@lru_cache(maxsize=4)
def frame_set(network: NetworkConfig, space: TrialSpace, seed: int, direct: bool) -> FrameSet:
    """Craft the frames for an arm that rewrites, or that gets what is addressed to the target."""
    draws, wire = Draws(seed, network, space), Wire(LAB_MACS["client"], LAB_MACS["server"])
    cases = cases_for(draws, wire, direct=direct)
    sending = schedule(cases, draws)
    marker, ends = end_markers(draws, wire)
    due_us = [*sending.due_us, *(sending.due_us[-1] for _ in ends)]
    content = capture.write([*sending.frames, *ends], capture.ETHERNET, due_us)
    return FrameSet(cases, sending, marker, content, Recognition.of(cases, network))
