#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Send crafted frames as they are, or capture whole IP packets where they come out.

    gate.py send --interface lab0 --frames FRAMES.pcap.gz --only 7,8,1000
    gate.py capture --namespace sslab-ns --inner-interface sslab-app --source 192.168.64.7 \\
        --bind 10.0.1.2:8083 --marker 5c0ffee5 --directory DIR

`send` sends the frames with the gaps that their times say, then the last two of the file, which end
the capture. `capture` writes namespace.pcap (what comes in at the inner interface), root.pcap (what
reaches raw sockets outside of the namespace) and capture.json. It ends when packets whose UDP
payload begins with the marker came at both places and then nothing for a moment, on SIGTERM, or
after --timeout-s. It holds a lock on DIR/running.
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
    write_record,
)
from network import Namespace
from pcap import read_frames, write_packets
from taps import Place, listen, packet_socket, raw_socket
from udp_socket import open_socket

#: The end markers are the last frames of a file, and are sent again at this distance.
ENDS, END_GAP_S = 2, 0.005


def send(options: argparse.Namespace) -> int:
    """Send the wanted frames with their gaps, then the end markers several times."""
    every = read_frames(options.frames)
    frames, ends = every[:-ENDS], [frame for _, frame in every[-ENDS:]]
    moments = [moment for moment, _ in frames]
    wanted = [
        (max(0.0, moment - sooner), frame)
        for place, ((moment, frame), sooner) in enumerate(
            zip(frames, [0.0, *moments], strict=False)
        )
        if not options.only or place in options.only
    ]
    end = [(END_GAP_S * (place == 0), frame) for place, frame in enumerate(ends)]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:  # protocol 0: receives nothing
        try:
            sock.bind((options.interface, 0))
        except OSError as error:
            raise Unusable(f"cannot send on {options.interface}: {error.strerror}") from error
        started = time.monotonic()
        send_paced(sock, wanted)
        send_paced(sock, end * options.end_times)
    say(f"{len(wanted)} frames and {len(ends)} end markers in {time.monotonic() - started:.3f} s")
    return OK


def send_paced(sock: socket.socket, frames: list[tuple[float, bytes]]) -> None:
    """Send frames, each after its gap; who is late is not made up for, so no gap is shorter."""
    due = time.monotonic()
    for gap_s, frame in frames:
        due = max(due + gap_s, time.monotonic())
        if (early := due - time.monotonic()) > 0:
            time.sleep(early)
        send_one(sock, frame)


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
        root = Place(source, options.marker, [raw_socket(kind) for kind in options.protocols])
        try:
            Namespace(options.namespace).enter()
        except OSError as error:
            raise Unusable(f"namespace {options.namespace}: {error.strerror}") from error
        inner = Place(source, options.marker, [packet_socket(options.inner_interface)])
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
        drops = [place.drops() for place in (root, inner)]
        write_record(
            folder / "capture.json", {"drops": None if None in drops else sum(filter(None, drops))}
        )
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


def marker(text: str) -> bytes:
    """An argparse type: bytes in hexadecimal, at least one."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} are no bytes in hexadecimal")
    return found


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    """The options; a wrong one ends the program with one line."""
    parser = OptionParser(
        description="Send crafted frames, or capture where they come out.", allow_abbrev=False
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    sender = verbs.add_parser("send", help="send frames as they are")
    sender.option("--interface", "lab0", str, "interface to send on")
    sender.option("--frames", "frames.pcap", Path, "Ethernet frames, a pcap file")
    sender.option("--only", frozenset(), numbers, "only the frames at these places, from 0 on")
    sender.option("--end-times", 20, number(int, 1, 1000, "times"), "how often to send the ends")
    taker = verbs.add_parser("capture", help="capture where packets come out")
    taker.option("--namespace", "sslab-ns", str, "network namespace behind the server")
    taker.option("--inner-interface", "sslab-app", str, "interface in it to capture on")
    taker.option("--source", "192.168.64.7", str, "the client's address")
    taker.option("--bind", ("10.0.1.2", 8083), address_and_port, "what takes packets there")
    taker.option("--protocols", numbers("6,17"), numbers, "whose packets to take outside of it")
    taker.option("--marker", b"the end", marker, "what an end marker's UDP payload begins with")
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
