# SPDX-License-Identifier: Apache-2.0
"""An arm: one way to redirect, described by the manifest in its folder.

The manifest holds the exact commands that build, load, verify, count and unload the
arm in the server. The tool runs them and the pages print them; a new arm is a folder.
"""

import difflib
import string
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from testbed.model.config import NetworkConfig
from testbed.model.errors import ConfigError, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

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
    """What the server must have."""

    kernel: str
    tools: list[str]


class Expect(_Part):
    """What `verify` must print as mode, and what the arm writes to the kernel log."""

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
    """What an arm under a second name is there for; never in a manifest file.

    `again`: the same as arm `of`, for an A/A pair. `unmatched`: `of` is attached, and the
    packets take the way that they take without a hook.
    """

    kind: Literal["again", "unmatched"]
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

    @property
    def folder(self) -> str:
        """The folder below guest/arms/ that has its sources."""
        return self.control.of if self.control else self.name

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


def placeholders(network: NetworkConfig, build_dir: str) -> dict[str, str]:
    """Return the names that a manifest's commands may use, with their values."""
    return {
        "interface": "lab0",
        "server_address": network.server_address,
        "match_port": str(network.match_port),
        "target_address": network.target_address,
        "target_port": str(network.target_port),
        "namespace": network.namespace,
        "build_dir": build_dir,
    }


def load(folder: Path) -> Arm:
    """Read one manifest.

    Raises ConfigError that names the file and the key.
    """
    path = folder / "arm.toml"
    try:
        arm = Arm.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {where}: {first['msg']}") from error
    if arm.control is not None:
        raise ConfigError(f"{path}: control: only `testbed bench --controls` makes controls")
    if arm.name != folder.name:
        raise ConfigError(f"{path}: name is {arm.name!r}, its folder is {folder.name!r}")
    _try_placeholders(arm, path)
    return arm


def _try_placeholders(arm: Arm, path: Path) -> None:
    values = placeholders(NetworkConfig(), "/")
    commands: dict[str, Any] = dict(arm.commands)
    try:
        for items in commands.values():
            for word in (word for argv in items for word in argv):
                _demand_plain_names(word)
        arm.destination(values)
        for items in commands.values():
            arm.resolve(items, values)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{path}: a command uses the unknown placeholder {error}",
            hint=f"known: {', '.join(values)}; a literal brace is written twice",
        ) from error


def _demand_plain_names(word: str) -> None:
    """Raise KeyError for `{name.attribute}` and `{name[index]}`."""
    for _, name, _, _ in string.Formatter().parse(word):
        if name is not None and not name.isidentifier():
            raise KeyError(name)


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

    Raises UsageError for an unknown name, with the nearest known one.
    """
    there = known(arms_dir)
    for name in names:
        if name not in there:
            near = difflib.get_close_matches(name, there, n=1)
            advice = f"did you mean {near[0]}? " if near else ""
            raise UsageError(
                f"there is no arm {name!r}", hint=f"{advice}known arms: {', '.join(there)}"
            )
    return [load(arms_dir / name) for name in dict.fromkeys(names)]
