# SPDX-License-Identifier: Apache-2.0
"""The sample of a synthetic trial's own packets: right ones, drawn at even distances."""

from pathlib import Path
from typing import Any

from testbed.packets import sampled
from testbed.packets.traffic import DATA, HEAD_BYTES, Sent, arriving
from testbed.packets.traffic import Path as Way

SHARE = 10  # so many of what is offered are drawn
INODE = 14_808
WAY = Way(client_address="192.168.64.7", target_address="10.0.1.2", target_port=8083)


def drawing(passed: int, offered: int) -> dict[str, Any]:
    """Return the record in server.json about a sample of so many packets."""
    one_in = max(1, offered // SHARE)
    kept = passed // one_in
    return {"one_in": one_in, "inode": INODE, "drawn": kept, "dropped": 0, "kept": kept}


def sent_of(client: dict[str, Any]) -> Sent:
    trial = client["trials"][0]
    keys = ("trial", "source_port", "seed", "payload_bytes", "planned", "offered")
    return Sent(token=int(trial["token"], 16), **{key: trial[key] for key in keys})


def write_sample(folder: Path, client: dict[str, Any], passed: int) -> None:
    """Writes sample.pcap.gz and sample.json as testbed/lab/experiment/own_packets.py does."""
    sent = sent_of(client)
    one_in = max(1, sent.offered // SHARE)
    packets = [arriving(sent, DATA, number * one_in, WAY, 0) for number in range(passed // one_in)]
    kept = [
        sampled.Sampled(packet[:HEAD_BYTES], len(packet), sampled.digest(packet))
        for packet in packets
    ]
    (folder / "sample.pcap.gz").write_bytes(sampled.to_pcap(kept))
    (folder / "sample.json").write_bytes(sampled.to_json(kept))
