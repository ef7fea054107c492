# SPDX-License-Identifier: Apache-2.0
"""The kernel's log through /dev/kmsg, where every record has a sequence number.

A read gives one record, `priority,sequence,microseconds,flags[,...];text`, then ` KEY=value` lines
(Documentation/ABI/testing/dev-kmsg). The numbers tell how many lines were logged between two
moments even when the ring buffer has long forgotten the lines themselves.
"""

import os
import re
from collections.abc import Iterator
from typing import Any

DEVICE = "/dev/kmsg"
#: Larger than any record; a smaller buffer makes the read fail.
RECORD_BYTES = 1 << 14
ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")


def raw_records(*, since_clear: bool = False) -> Iterator[bytes]:
    """All records now in the ring buffer, oldest first; raises OSError if there is no reading.

    `since_clear`: only those after the last `dmesg --clear`, which are fewer.
    """
    handle = os.open(DEVICE, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    read = os.read
    try:
        if since_clear:
            os.lseek(handle, 0, os.SEEK_DATA)
        while True:
            try:
                record = read(handle, RECORD_BYTES)
            except BrokenPipeError:  # the next one was overwritten; the kernel skips to the oldest
                continue
            if not record:
                return
            yield record
    except BlockingIOError:  # no more
        return
    finally:
        os.close(handle)


def last_sequence(unavailable: dict[str, str]) -> int | None:
    """The number of the newest record; None if there is none or it cannot be read.

    The kernel has no way to ask for it, or to go to a number, so the records are read through:
    about 2 us each, and a 128 KiB buffer holds some 1,500. Those before a `dmesg --clear` are
    skipped as long as there are any after it.
    """
    last = None
    try:
        for since_clear in (True, False):
            for last in raw_records(since_clear=since_clear):  # noqa: B007
                pass
            if last is not None:
                return sequence_of(last)
    except OSError as error:
        unavailable["kmsg_sequence"] = str(error)
        return None
    unavailable["kmsg_sequence"] = "the kernel log is empty"
    return None


def sequence_of(record: bytes) -> int:
    """The sequence number, second of the fields before the text."""
    return int(record.split(b",", 2)[1])


def records_after(sequence: int) -> Iterator[dict[str, Any]]:
    """Records with a higher number, decoded."""
    return (parse(record) for record in raw_records() if sequence_of(record) > sequence)


def parse(record: bytes) -> dict[str, Any]:
    r"""One record: severity 0 (emergency) to 7 (debug), and the text with \xNN turned back."""
    head, _, body = record.partition(b";")
    priority, sequence, monotonic_us = head.split(b",")[:3]
    line = body.partition(b"\n")[0]
    text = ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), line)
    return {
        "seq": int(sequence),
        "monotonic_us": int(monotonic_us),
        "level": int(priority) & 7,
        "text": text.decode(errors="replace"),
    }
