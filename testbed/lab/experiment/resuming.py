# SPDX-License-Identifier: Apache-2.0
"""A run that was cut off: what of it is done, and whether the rest may be added to it.

Only the same experiment may go on in a run: the same sources, configuration and machines. Blocks
are what is compared, so one of which a trial is missing is done again, whole.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from testbed.model.config import Config
from testbed.model.errors import ParseError, RunError
from testbed.model.json_node import parse_json
from testbed.model.plan import Plan, under

MUST_BE_ALIKE = (
    "accelerator", "qemu", "libvirt", "kernel", "cpu_model", "cores", "box", "nic_model",
    "server_cpus", "client_cpus",
)  # fmt: skip
"""Keys of facts/host.json."""


@dataclass(frozen=True)
class Unfinished:
    """A run directory without a manifest, as its plan.json tells."""

    path: Path
    document: Mapping[str, Any]

    @classmethod
    def of(cls, path: Path) -> "Unfinished":
        """Read a run; raises RunError when it is complete, or its plan tells too little."""
        if (path / "manifest.json").exists():
            raise RunError(
                f"{path.name} is complete: there is nothing to resume",
                hint="`testbed bench` without --resume makes a new run",
            )
        try:
            plan = parse_json((path / "plan.json").read_text(encoding="utf-8"), "plan.json")
            document = plan.mapping()
            found = cls(path, document)
            _ = found.config, found.plan, document["request"]["names"], document["sources"]
            if wanted := plan.find("until_precise"):
                _ = wanted.number("target"), wanted.integer("min_blocks")
                _ = wanted.integer("max_blocks")
        except (OSError, ValueError, KeyError, TypeError, ParseError) as error:
            raise RunError(
                f"{path.name}: its plan.json does not tell enough to go on",
                hint="`testbed bench` makes a new run",
                detail=error.message if isinstance(error, ParseError) else repr(error),
            ) from error
        if document["profile"] != "fair":
            raise RunError(
                f"{path.name} follows the published protocol, which knows no blocks",
                hint="run it again: `testbed bench --profile original`",
            )
        return found

    @property
    def config(self) -> Config:
        """The configuration, with the rate that its warm-up found."""
        return Config.model_validate(self.document["config"])

    @property
    def plan(self) -> Plan:
        """The order: that of the run, by the same seed, under the load that it has."""
        document, bench = self.document, self.config.bench
        blocks = tuple(under(bench, block) for block in document["blocks"])
        arms = under(bench, (arm["name"] for arm in document["arms"]))
        return Plan(int(document["seed"]), arms, blocks, under(bench, document["warm_up"]))

    @property
    def blocks_done(self) -> int:
        """How many blocks, from the first, have all their trials."""
        plan, number = self.plan, 0
        while number < len(plan.blocks) and all(
            (self.path / "raw" / trial.folder / "trial.json").exists()
            for trial in plan.block(number + 1)
        ):
            number += 1
        return number

    @property
    def parts(self) -> list[dict[str, Any]]:
        """The stretches of the run so far, as plan.json tells.

        One that was cut off ended with its last trial, as far as anybody knows.
        """
        known = self.document.get("parts") or [{
            "block": 1, "started_utc": _named_after(self.path), "ended_utc": None, "length_s": None,
        }]  # fmt: skip
        ended_s = max(map(_ended_s, self.path.glob("raw/*/trial.json")), default=0.0)
        began = known[-1]["started_utc"]
        length_s = ended_s - datetime.fromisoformat(began).timestamp() if began else 0
        if length_s <= 0:  # not known, or it has no trial
            return list(known)
        ended = datetime.fromtimestamp(ended_s, timezone.utc).isoformat(timespec="seconds")
        return [*known[:-1], {**known[-1], "ended_utc": ended, "length_s": round(length_s, 3)}]

    def differences(
        self, config: Config, made: Mapping[str, Any], arms: list[Any], host: Mapping[str, Any]
    ) -> Iterator[str]:
        """Yield the changes since the run began, a line each; with any of them it cannot go on.

        `made` is what a run records of its arms' sources and builds.
        """
        for section in ("machines", "network", "box"):
            was, now = (getattr(c, section).model_dump() for c in (self.config, config))
            yield from (
                f"[{section}] {key}: {was[key]}, now {now[key]}" for key in was
                if was[key] != now[key]
            )  # fmt: skip
        if self.document["sources"] != made["sources"]:
            yield "the sources of the guests' programs or of the arms changed"
        elif self.document.get("built", made["built"]) != made["built"]:
            yield "the arms' builds came to other files than when the run began"
        if self.document["arms"] != arms:
            yield "the arms' manifests changed"
        before = self._facts()
        yield from (
            f"{key.replace('_', ' ')}: {before[key]}, now {host.get(key)}"
            for key in MUST_BE_ALIKE
            if key in before and before[key] != host.get(key)
        )

    def _facts(self) -> Mapping[str, Any]:
        try:
            text = (self.path / "facts/host.json").read_text(encoding="utf-8")
            return parse_json(text, "facts/host.json").mapping()
        except (OSError, ValueError, ParseError):
            return {}

    def drop_rest(self) -> None:
        """Delete the trials of the block that was cut off, which will be done again."""
        done = self.blocks_done
        for number in range(done + 1, len(self.plan.blocks) + 1):
            for trial in self.plan.block(number):
                shutil.rmtree(self.path / "raw" / trial.folder, ignore_errors=True)


def _named_after(path: Path) -> str | None:
    """Return when a run began by its folder's name, for plans that do not tell."""
    try:
        when = datetime.strptime(path.name[:16], "%Y%m%dT%H%M%SZ")
    except ValueError:
        return None
    return when.replace(tzinfo=timezone.utc).isoformat(timespec="seconds")


def _ended_s(path: Path) -> float:
    """Return when a trial ended, in seconds since 1970; 0 where its file does not tell."""
    try:
        steps = parse_json(path.read_text(), path.name).get("timeline").items()
        return steps[-1].integer("utc_ns") / 1e9
    except (OSError, ValueError, LookupError, ParseError):
        return 0.0
