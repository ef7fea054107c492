# SPDX-License-Identifier: Apache-2.0
"""The check that the trial's own packets came out right, by a random sample of them."""

from collections import Counter
from collections.abc import Mapping

from testbed.analysis.findings.finding import WHOLE_RUN, Check, Evidence, Finding, Verdict, of
from testbed.analysis.gate.judge import first_difference
from testbed.analysis.reading.records import Run, Trial
from testbed.packets.sampled import Sampled
from testbed.packets.traffic import HEAD_BYTES, Path, Sent, reference

FEWER_SD = 5
"""A draw of 1 in N is Poisson: 5 standard deviations below its mean is one trial in 3 million."""
MULTICAST = 224
CONFIDENCE = 0.95


def missed_share(packets: int) -> float:
    """The largest share of wrong packets that a sample without any finds nothing of in 1 of 20.

    (1 - share) ** packets = 0.05; about 3 / packets, the rule of three.
    """
    return 1.0 if packets < 1 else float(1 - (1 - CONFIDENCE) ** (1 / packets))


def sample(run: Run) -> list[Finding]:
    path = _path(run.config.get("network"))
    whole = [trial for trial in run.trials if not trial.problems]
    if whole and all(trial.sample is None for trial in whole):
        return [WHOLE_RUN.unknown("sample", "a sample of the trials' own packets")]
    found = []
    for trial in run.trials:
        sent = trial.client.sent if trial.client else ()
        if trial.sample is None or path is None or not sent:
            if not trial.problems:
                found.append(of(trial).unknown("sample", "a sample of the trial's own packets"))
            continue
        faults = Counter(f for one in trial.sample if (f := _fault(one, sent, path)))
        found += _wrong(trial, faults) if faults else _few(trial)
    return found


def _wrong(trial: Trial, faults: Mapping[str, int]) -> list[Finding]:
    drawn, wrong = len(trial.sample or ()), sum(faults.values())
    kinds = ", ".join(f"{fault} ({count})" for fault, count in faults.items())
    return [
        of(trial).finding(
            "sample",
            Verdict.INVALID,
            f"{wrong:,} of {drawn:,} packets drawn at random from the trial are not what the "
            f"reference says: {kinds}",
            Evidence(quantity="packets that differ", observed=wrong, unit="packets", bound="0"),
            Evidence(quantity="packets drawn", observed=drawn, unit="packets"),
            advice="The arm treats the trial's packets otherwise than the gate's: read its "
            "conditions, and sample.pcap.gz in the trial's folder.",
            degree=wrong,
        )
    ]


def _few(trial: Trial) -> list[Finding]:
    """Find trials in which fewer packets passed the socket than the program received."""
    server = trial.server
    drawing = server.drawing if server else None
    if drawing is None or server is None:
        return [of(trial).unknown("sample", "how the sample was drawn")]
    expected = server.unique / drawing.one_in
    kept = len(trial.sample or ())
    if kept and drawing.drawn >= expected - FEWER_SD * expected**0.5:
        return []
    return [
        of(trial).finding(
            "sample",
            Verdict.SUSPECT,
            f"{drawing.drawn:,} packets were drawn where chance gives about {expected:,.0f}"
            if expected >= 1
            else f"none of {server.unique:,} packets was drawn",
            Evidence(
                quantity="packets drawn", observed=drawing.drawn, bound=f"about {expected:.0f}"
            ),
            Evidence(quantity="drawn, but no room for them", observed=drawing.dropped),
            advice="Packets that do not pass the inner interface are not looked at: longer "
            "trials give a larger sample; an arm that goes another way stays unproved.",
        )
    ]


def _fault(one: Sampled, sent: tuple[Sent, ...], path: Path) -> str:
    """Name a packet's first fault in a few words; an empty text if there is none."""
    wanted = reference(one.kept[:HEAD_BYTES], sent, path)
    if wanted is None:
        others = len(one.kept) >= 20 and one.kept[16] >= MULTICAST
        return "" if others else "nothing that the client sent"
    if one.equals(wanted):
        return ""
    known = len(one.kept)
    got = one.kept if one.is_whole else one.kept + wanted[known:]
    return "wrong payload" if got == wanted else first_difference(wanted, got).fault


def _path(network: object) -> Path | None:
    if not isinstance(network, Mapping):
        return None
    client, target = network.get("client_address"), network.get("target_address")
    port = network.get("target_port")
    if not isinstance(client, str) or not isinstance(target, str) or not isinstance(port, int):
        return None
    return Path(client_address=client, target_address=target, target_port=port)


OWN_PACKETS_CHECKS = (
    Check(
        code="sample",
        what="A random sample of each trial's own packets, as they came out: addresses, ports, "
        "TTL, DF, lengths, both checksums, every byte of the payload.",
        why="The gate sends other packets than a trial does: an arm could tell them apart, and "
        "save work in the trials alone.",
        threshold="INVALID for any packet that is not what the client sent, redirected; SUSPECT "
        f"when none was drawn, or fewer than chance gives by {FEWER_SD} standard deviations, or "
        "not recorded",
        source="sample.pcap.gz and sample.json (a packet socket of the server's, read after the "
        "traffic), against seed, token and sequence numbers of client.json",
        look=sample,
    ),
)
