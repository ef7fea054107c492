# SPDX-License-Identifier: Apache-2.0
"""The NIC's interrupts in the server: frames for each one tell how work was batched."""

from testbed.analysis.formats.proc_files import Interrupt
from testbed.analysis.instruments.instrument import Instrument
from testbed.analysis.measures.hops import received_frames
from testbed.analysis.reading.records import Trial
from testbed.analysis.reading.trial_records import Snap
from testbed.model.nic import INTERFACE


def packets_per_interrupt(trial: Trial) -> float | None:
    """Return frames per interrupt between the edges of the traffic; None when not recorded."""
    server, received = trial.server, received_frames(trial)
    if server is None or received is None:
        return None
    before, after = (_raised(trial, snap) for snap in (server.before, server.after))
    if before is None or after is None:
        return None
    return received / (after - before) if after > before else None


def _raised(trial: Trial, snap: Snap) -> int | None:
    """Interrupts of the server's NIC so far, of all its rows.

    By the numbers that the server found for the NIC: a row's name is the driver's choice, and
    virtio's does not hold the interface. An older run has no numbers; its rows go by name, and a
    NIC with several queues has several, named after it with -rx-0 and so on.
    """
    numbers = trial.before.interrupts.get(INTERFACE) if trial.before else None
    counts = [
        row.count
        for number, row in snap.interrupts.items()
        if (number in numbers if numbers else _is_named(row))
    ]
    return sum(counts) if counts else None


def _is_named(row: Interrupt) -> bool:
    return any(word.split("-")[0] == INTERFACE for word in row.words.replace(",", " ").split())


INSTRUMENT = Instrument(
    name="interrupts", heading="Packets per NIC interrupt", column="packets_per_interrupt",
    digits=3, read=packets_per_interrupt,
)  # fmt: skip
