# SPDX-License-Identifier: Apache-2.0
"""Keep a trial's sample of packets small, with enough of it to judge every packet again."""

from collections.abc import Mapping

from testbed.lab.guests.jobs import SAMPLE
from testbed.model.config import NetworkConfig
from testbed.model.errors import ParseError
from testbed.model.json_node import parse_json
from testbed.packets import sampled
from testbed.packets.traffic import Path, Sent, sent_by


def thinned(files: Mapping[str, bytes], network: NetworkConfig) -> dict[str, bytes]:
    """Return a trial's files with the capture replaced by `sample.pcap.gz` and `sample.json`.

    A capture that is cut off stays as it is: `sample` then says that nothing was recorded.
    """
    left = dict(files)
    captured = left.pop(SAMPLE, None)
    if captured is None:
        return left
    path = Path(
        client_address=network.client_address,
        target_address=network.target_address,
        target_port=network.target_port,
    )
    try:
        packets = sampled.cut(captured, _sent(files.get("client.json", b"")), path)
    except ValueError:
        return dict(files)
    return left | {
        "sample.pcap.gz": sampled.to_pcap(packets),
        "sample.json": sampled.to_json(packets),
    }


def _sent(client: bytes) -> tuple[Sent, ...]:
    """Return the trials that client.json has; none when it is cut off or the trial was not sent."""
    try:
        return sent_by(parse_json(client.decode(), "client.json").get("trials").items())
    except (ParseError, ValueError):
        return ()
