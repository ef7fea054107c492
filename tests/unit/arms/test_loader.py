# SPDX-License-Identifier: Apache-2.0
"""`loader verify` of the XDP arms, with a pretended kernel behind libbpf's calls.

The program is the arm's own, built as in the server. Only what the kernel would answer is made up:
the library below is loaded before libbpf. On the real machines tests/vm/test_experiment.py asks.
"""

import os
import subprocess
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.unit.arms.test_arm_sources import copy, make, need

RULE = {"match-address": "192.168.64.2", "match-port": "8080", "target-address": "10.0.1.2",
        "target-port": "8083"}  # fmt: skip
KERNEL = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

enum { PROGRAM = 1000, HITS, CONSTANTS };

int bpf_xdp_query(int ifindex, int flags, struct bpf_xdp_query_opts *attached)
{
	(void)ifindex;
	(void)flags;
	attached->attach_mode = XDP_ATTACHED_SKB;
	attached->prog_id = 7;
	return 0;
}

int bpf_obj_get(const char *path) { return strstr(path, "/program") ? PROGRAM : -1; }

int bpf_map_get_fd_by_id(__u32 id) { return (int)id; }

int bpf_obj_get_info_by_fd(int fd, void *to, __u32 *bytes)
{
	struct bpf_prog_info *program = to;
	struct bpf_map_info *map = to;
	__u32 *ids;

	(void)bytes;
	if (fd != PROGRAM) {
		map->value_size = fd == HITS ? 8 : 12;
		strcpy(map->name, fd == HITS ? "hits" : "redirect.rodata");
		return 0;
	}
	program->id = 7;
	ids = (__u32 *)(unsigned long)program->map_ids;
	if (ids) {
		ids[0] = HITS;
		ids[1] = CONSTANTS;
		program->nr_map_ids = getenv("CONSTANTS") ? 2 : 1;
	}
	return 0;
}

int bpf_prog_get_info_by_fd(int fd, struct bpf_prog_info *to, __u32 *bytes)
{ return bpf_obj_get_info_by_fd(fd, to, bytes); }
int bpf_map_get_info_by_fd(int fd, struct bpf_map_info *to, __u32 *bytes)
{ return bpf_obj_get_info_by_fd(fd, to, bytes); }

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	const char *hex = getenv("CONSTANTS");

	(void)key;
	if (fd != CONSTANTS)
		abort();
	for (int i = 0; i < 12; i++)
		sscanf(hex + 2 * i, "%2hhx", (unsigned char *)value + i);
	return 0;
}
"""


@dataclass(frozen=True, slots=True)
class Loader:
    program: Path
    kernel: Path

    def verify(
        self, loaded: dict[str, str] | None, asked: dict[str, str]
    ) -> "subprocess.CompletedProcess[str]":
        """Ask, where the kernel has `loaded` as the program's constants; None: it has none."""
        options = [word for name, value in asked.items() for word in (f"--{name}", value)]
        environment = {**os.environ, "LD_PRELOAD": str(self.kernel)}
        if loaded:
            environment["CONSTANTS"] = constants(loaded).hex()
        return subprocess.run(
            [self.program, "verify", "--interface", "lo", "--mode", "generic", *options],
            capture_output=True, text=True, check=False, env=environment,
        )  # fmt: skip


def constants(rule: dict[str, str]) -> bytes:
    """Return the map's value: both addresses, both ports, as redirect_xdp.h declares them."""
    addresses = [IPv4Address(rule[name]).packed for name in ("match-address", "target-address")]
    ports = [int(rule[name]).to_bytes(2, "big") for name in ("match-port", "target-port")]
    return b"".join([*addresses, *ports])


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> Loader:
    need("clang", "clang")
    need("bpftool", "bpftool")
    folder = tmp_path_factory.mktemp("loader")
    arm = copy("xdp", folder)
    make(arm)
    kernel = folder / "kernel.so"
    flags = ["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    argv = ["gcc", *flags, "-x", "c", "-", "-o", str(kernel)]
    subprocess.run(argv, input=KERNEL, text=True, check=True)
    return Loader(arm / "loader", kernel)


def test_a_program_with_this_rule_is_proved(loader: Loader) -> None:
    done = loader.verify(RULE, RULE)
    assert (done.returncode, done.stderr) == (0, "")
    rule = {name.replace("-", "_"): value for name, value in RULE.items()}
    for name, value in rule.items():
        assert f'"{name}": "{value}"' in done.stdout


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("match-address", "192.168.64.3"), ("match-port", "8081"),
        ("target-address", "10.0.1.3"), ("target-port", "8084"),
    ],
)  # fmt: skip
def test_one_loaded_with_another_value_is_not(loader: Loader, name: str, other: str) -> None:
    done = loader.verify({**RULE, name: other}, RULE)
    words = f"loader: the program has {name.replace('-', ' ')} {other}, not {RULE[name]}\n"
    assert (done.returncode, done.stderr) == (1, words)


def test_a_value_that_is_not_given_is_not_asked_for(loader: Loader) -> None:
    """Manifests from before the rule was verified name the interface and the mode alone."""
    assert loader.verify(RULE, {}).returncode == 0
    assert loader.verify(RULE, {"target-port": "8083"}).returncode == 0
    assert loader.verify(RULE, {"target-port": "8080"}).returncode == 1


def test_a_program_without_constants_is_not_proved(loader: Loader) -> None:
    done = loader.verify(None, RULE)
    words = "loader: the program's addresses and ports cannot be read\n"
    assert (done.returncode, done.stderr) == (1, words)
