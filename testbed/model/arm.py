# SPDX-License-Identifier: Apache-2.0
"""An arm: one way to redirect, described by the manifest in its folder.

The manifest holds the exact commands that build, load, verify, count and unload the arm in the
server. The tool runs them and the pages print them; a new arm is a folder anywhere.
"""

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from testbed.model.config import NetworkConfig
from testbed.model.errors import ManifestError, UsageError
from testbed.model.manifest_words import (
    LONGEST_KEY,
    demand_destination,
    demand_known,
    demand_small,
)
from testbed.model.nic import INTERFACE
from testbed.model.toml import TomlError, parse_toml

FAIR = ("netfilter", "xdp")
BASELINE = "none"
EXHIBITS = ("netfilter-logging", "xdp-bounded-csum")  # what the original compared
Argv = Annotated[list[str], Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Traffic(_Part):
    """Where the client sends; both are placeholders or plain values."""

    address: str
    port: str


class Needs(_Part):
    """The tools and the kernel that the server must have."""

    kernel: str
    tools: list[str]


class Expect(_Part):
    """The mode that `verify` must print, and the lines that the arm writes to the kernel log."""

    mode: str
    log_lines_per_packet: int = 0


class Commands(_Part):
    """Lists of argument vectors, run in order in the arm's folder, as root."""

    build: list[Argv]
    load: list[Argv]
    verify: list[Argv] = Field(min_length=1)
    count: list[Argv]
    unload: list[Argv]
    probe: list[Argv] = []


class Control(_Part):
    """The purpose of an arm under a second name; never in a manifest file.

    `again`: the same as arm `of`, for an A/A pair. `unmatched`: `of` is attached, and the
    packets take the way that they take without a hook. `planted`: loaded with another hook of
    the module that the counter's self-test builds.
    """

    kind: Literal["again", "unmatched", "planted"]
    of: str


class Arm(_Part):
    """One arm's manifest."""

    # `schema` would hide a method of pydantic's.
    schema_: Literal[1] = Field(alias="schema")
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
    title: str
    summary: str
    semantic_class: str
    hook: str
    exhibit: bool
    original_name: str
    traffic: Traffic
    needs: Needs
    expect: Expect
    commands: Commands
    control: Control | None = None
    outside: Annotated[Path | None, Field(exclude=True)] = None
    """Where an arm that is not in guest/arms/ lies on this computer; in no manifest or record."""

    @property
    def folder(self) -> str:
        """The folder that has its sources: below guest/arms/, in the server in any case."""
        return self.control.of if self.control else self.name

    @property
    def place(self) -> str:
        """Where a user finds its sources."""
        return str(self.outside or f"guest/arms/{self.folder}")

    def again(self) -> "Arm":
        """Return the same arm under a second name: the two make an A/A pair."""
        return self._control("again", f"{self.title}, again")

    def unmatched(self, baseline: "Arm") -> "Arm":
        """Return this arm attached while the packets take the way of `baseline`."""
        control = self._control("unmatched", f"{self.title}, attached, nothing to match")
        parts = {"traffic": baseline.traffic, "semantic_class": baseline.semantic_class}
        return control.model_copy(update=parts)

    def _control(self, kind: Literal["again", "unmatched"], title: str) -> "Arm":
        control = Control(kind=kind, of=self.name)
        name = f"{self.name}-{kind}"
        return self.model_copy(update={"control": control, "name": name, "title": title})

    def resolve(self, items: Sequence[Argv], values: Mapping[str, str]) -> list[Argv]:
        """Return commands with their placeholders filled in."""
        return [[word.format_map(values) for word in argv] for argv in items]

    def destination(self, values: Mapping[str, str]) -> tuple[str, int]:
        """Return the address and port that the client sends to."""
        return (
            self.traffic.address.format_map(values),
            int(self.traffic.port.format_map(values)),
        )


def placeholders(network: NetworkConfig, build_dir: str, nic: str = INTERFACE) -> dict[str, str]:
    """Return the names that a manifest's commands may use, with their values."""
    return {
        "interface": nic,
        "server_address": network.server_address,
        "match_port": str(network.match_port),
        "target_address": network.target_address,
        "target_port": str(network.target_port),
        "namespace": network.namespace,
        "build_dir": build_dir,
    }


def load(folder: Path) -> Arm:
    """Read one manifest; raises ManifestError that names the file and the key."""
    path = folder / "arm.toml"
    try:
        demand_small(path)
        return parse(path.read_text(encoding="utf-8"), path)
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not TOML: {error}") from error


def parse(text: str, path: Path) -> Arm:
    """Return the arm of a manifest's text; `path` is where it is from, the folder named as the arm.

    Raises ManifestError that names the file and the key.
    """
    try:
        arm = Arm.model_validate(parse_toml(text))
    except TomlError as error:
        raise ManifestError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ManifestError(f"{path}: {where[:LONGEST_KEY]}: {first['msg']}") from error
    if arm.control is not None:
        raise ManifestError(f"{path}: control: only `testbed bench --controls` makes controls")
    if arm.outside is not None:
        raise ManifestError(f"{path}: outside: unknown key")
    if arm.name != path.parent.name:
        raise ManifestError(f"{path}: name is {arm.name!r}, its folder is {path.parent.name!r}")
    _try_placeholders(arm, path)
    return arm


def _try_placeholders(arm: Arm, path: Path) -> None:
    values = placeholders(NetworkConfig(), "/")
    commands: dict[str, Any] = dict(arm.commands)
    words = [word for items in commands.values() for argv in items for word in argv]
    demand_known([*words, arm.traffic.address, arm.traffic.port], values, path)
    address, port = (word.format_map(values) for word in (arm.traffic.address, arm.traffic.port))
    demand_destination(address, port, path)


def with_controls(arms: Sequence[Arm]) -> list[Arm]:
    """Return the arms, each hook attached without a match, and an A/A pair of the last hook."""
    baseline = next((arm for arm in arms if arm.hook == "none"), None)
    hooks = [arm for arm in arms if arm.hook != "none"]
    unmatched = [hook.unmatched(baseline) for hook in hooks] if baseline else []
    return [*arms, *unmatched, *(hook.again() for hook in hooks[-1:])]


def known(arms_dir: Path) -> list[str]:
    """Return the names of all arms."""
    return sorted(path.parent.name for path in arms_dir.glob("*/arm.toml"))


def choose(arms_dir: Path, names: Sequence[str]) -> list[Arm]:
    """Return the named arms in the given order, each once.

    A word with a slash is the path of an arm's folder anywhere. Raises UsageError for an unknown
    name, with the nearest known one, and for a folder that is no arm or has a name that is taken.
    """
    chosen: dict[str, Arm] = {}
    for name in names:
        arm = _outside(arms_dir, name) if "/" in name else _inside(arms_dir, name)
        earlier = chosen.setdefault(arm.name, arm)
        if earlier.outside != arm.outside:
            raise UsageError(
                f"two arms are called {arm.name!r}: {earlier.outside} and {arm.outside}",
                hint="give one folder, and `name` in its arm.toml, another name",
            )
    return list(chosen.values())


def _inside(arms_dir: Path, name: str) -> Arm:
    there = known(arms_dir)
    if name in there:
        return load(arms_dir / name)
    near = difflib.get_close_matches(name, there, n=1)
    advice = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"there is no arm {name!r}", hint=f"{advice}known arms: {', '.join(there)}")


def _outside(arms_dir: Path, word: str) -> Arm:
    # The shell leaves the tilde of `--arms none,~/mine` alone.
    folder = Path(word).expanduser() if word.startswith("~/") else Path(word)
    if not os.path.isdir(folder):  # noqa: PTH112  (Path.is_dir() raises for a name that is too long)
        raise UsageError(
            f"there is no folder {word}",
            hint="a word with a slash is the path of an arm's folder; without one it is a name: "
            f"{', '.join(known(arms_dir))}",
        )
    folder = folder.resolve()
    if not os.path.lexists(folder / "arm.toml"):  # what it is, `load` looks at
        raise UsageError(
            f"{folder} is no arm: it has no arm.toml",
            hint="docs/arms.md tells what belongs there; `testbed handout --starter DIR` makes two",
        )
    arm = load(folder)
    if folder.parent == arms_dir.resolve():
        return arm
    if (arms_dir / arm.name).exists():  # `include` is no arm, and no name for one either
        raise UsageError(
            f"{folder}: guest/arms has a folder {arm.name!r} of its own",
            hint="give the folder, and `name` in its arm.toml, another name",
        )
    return arm.model_copy(update={"outside": folder})
