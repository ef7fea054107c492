#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Send crafted frames as they are, or capture whole IP packets where they come out.

    oracle.py send --interface lab0 --frames FRAMES.pcap.gz --rate 3500
    oracle.py capture --namespace sslab-ns --inner-interface sslab-app --source 192.168.64.7 \\
        --bind 10.0.1.2:8083 --directory DIR

`capture` writes namespace.pcap (what comes in at the inner interface) and root.pcap (what reaches
raw UDP and TCP sockets outside of the namespace). It ends when an end marker came at both places
and then nothing for a moment, on SIGTERM, or after --timeout-s. It holds a lock on DIR/running.
"""

import argparse
import contextlib
import errno
import fcntl
import socket
import sys
import time
from pathlib import Path

from command import (
    FAILED,
    OK,
    UNUSABLE,
    OptionParser,
    Stopped,
    Unusable,
    complain,
    ignore_signals,
    notify_ready,
    number,
    say,
    stop_on_signals,
)
from network import Namespace
from pcap import read_frames, write_packets
from taps import END_ID, Place, listen, packet_socket, raw_socket
from udp_socket import open_socket

#: Frames sent back to back; the receiver holds some 90.
BURST = 4
#: End markers are sent so often, at this distance: a receiver that stands still misses some.
END_TIMES, END_GAP_S = 20, 0.005


def identification(frame: bytes) -> int:
    """The IP identification in an Ethernet frame, behind a VLAN tag too."""
    start = 22 if frame[12:14] == b"\x81\x00" else 18
    return int.from_bytes(frame[start : start + 2], "big")


def send(options: argparse.Namespace) -> int:
    """Send the wanted frames at a steady pace, then the end markers several times."""
    frames = read_frames(options.frames)
    ends = [frame for frame in frames if identification(frame) == END_ID]
    wanted = [
        frame
        for frame in frames
        if (name := identification(frame)) != END_ID and (not options.ids or name in options.ids)
    ]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:  # protocol 0: receives nothing
        try:
            sock.bind((options.interface, 0))
        except OSError as error:
            raise Unusable(f"cannot send on {options.interface}: {error.strerror}") from error
        started = time.monotonic()
        send_paced(sock, wanted, BURST, BURST / options.rate)
        time.sleep(END_GAP_S)
        send_paced(sock, ends * END_TIMES, max(1, len(ends)), END_GAP_S)
    say(f"{len(wanted)} frames and {len(ends)} end markers in {time.monotonic() - started:.3f} s")
    return OK


def send_paced(sock: socket.socket, frames: list[bytes], burst: int, gap_s: float) -> None:
    """Send bursts with one gap between them; who is late is not made up for, so none is longer."""
    due = time.monotonic()
    for start in range(0, len(frames), burst):
        if (early := due - time.monotonic()) > 0:
            time.sleep(early)
        for frame in frames[start : start + burst]:
            send_one(sock, frame)
        due = max(due + gap_s, time.monotonic())


def send_one(sock: socket.socket, frame: bytes) -> None:
    """Send a frame, again where the queue of the interface was full."""
    for _ in range(200):
        try:
            sock.send(frame)
            return
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
        time.sleep(0.001)
    raise OSError(errno.ENOBUFS, "the interface takes no frames")


def capture(options: argparse.Namespace) -> int:
    """Capture at both places and write both files, whole or not at all."""
    stop_on_signals()
    folder: Path = options.directory
    host, port = options.bind
    source = socket.inet_aton(options.source)
    with (folder / "running").open("w") as running:
        fcntl.flock(running, fcntl.LOCK_EX)
        root = Place(source, [raw_socket(socket.IPPROTO_UDP), raw_socket(socket.IPPROTO_TCP)])
        try:
            Namespace(options.namespace).enter()
        except OSError as error:
            raise Unusable(f"namespace {options.namespace}: {error.strerror}") from error
        inner = Place(source, [packet_socket(options.inner_interface)])
        # Only so that the kernel does not answer "port unreachable"; when full it drops silently.
        receiver = open_socket(host, port, 4096)
        whole = True
        with contextlib.suppress(Stopped):  # asked to end: what was captured counts
            notify_ready()
            whole = listen([root, inner], time.monotonic() + options.timeout_s)
        ignore_signals()
        receiver.close()
        for place in (root, inner):
            place.drain_all()
        files = {"namespace.pcap": inner.packets, "root.pcap": root.packets}
        for name, packets in files.items():
            write_packets(folder / f".{name}", packets)
        for name in files:
            (folder / f".{name}").replace(folder / name)
    if not whole:
        complain(f"no end marker within {options.timeout_s:g} s")
    return OK if whole else FAILED


def address_and_port(text: str) -> tuple[str, int]:
    """An argparse type: ADDRESS:PORT."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not ADDRESS:PORT")
    return host, int(port)


def numbers(text: str) -> frozenset[int]:
    """An argparse type: whole numbers, separated by commas."""
    try:
        return frozenset(int(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} are not numbers, separated by commas") from None


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    """The options; a wrong one ends the program with one line."""
    parser = OptionParser(
        description="Send crafted frames, or capture where they come out.", allow_abbrev=False
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    sender = verbs.add_parser("send", help="send frames as they are")
    sender.option("--interface", "lab0", str, "interface to send on")
    sender.option("--frames", "frames.pcap", Path, "Ethernet frames, a pcap file")
    sender.option("--rate", 3500.0, number(float, 1, 1e6, "frames a second"), "frames a second")
    sender.option("--ids", frozenset(), numbers, "only frames with these IP identifications")
    taker = verbs.add_parser("capture", help="capture where packets come out")
    taker.option("--namespace", "sslab-ns", str, "network namespace behind the server")
    taker.option("--inner-interface", "sslab-app", str, "interface in it to capture on")
    taker.option("--source", "192.168.64.7", str, "the client's address")
    taker.option("--bind", ("10.0.1.2", 8083), address_and_port, "what takes packets there")
    taker.option("--directory", Path(), Path, "where the files are written")
    limit = "longest wait for the end markers"
    taker.option("--timeout-s", 60.0, number(float, 0.1, 3600, "seconds"), limit)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = parse_options(arguments)
    try:
        return send(options) if options.verb == "send" else capture(options)
    except Unusable as error:
        complain(str(error))
        return UNUSABLE
    except OSError as error:
        complain(error.strerror or str(error))
        return FAILED
    except Stopped as stopped:
        return stopped.exit_code


if __name__ == "__main__":
    sys.exit(main())
