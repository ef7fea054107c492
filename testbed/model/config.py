# SPDX-License-Identifier: Apache-2.0
"""The settings in `testbed.toml`, with the original experiment's values as defaults.

The file is optional. An unknown key is refused with the nearest known one; a value
out of range is refused with the range. `load` is the only way in.
"""

import difflib
import ipaddress
import math
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from testbed.model.errors import ConfigError
from testbed.model.toml import TomlError, parse_toml

FILE_NAME = "testbed.toml"
Port = Annotated[int, Field(ge=1, le=65535)]
PackageFile = Annotated[str, Field(pattern=r"^(.+\.deb)?$")]
NicModel = Literal["e1000", "e1000e", "igb", "virtio"]


def _host_cpus() -> int:
    return os.cpu_count() or 1


def _server_cpus() -> int:
    """The original's server had 4, where the host has them beside the client's.

    With more virtual CPUs than real ones they wait for each other, and the guest takes its waiting
    for work: docs/calibration.md has what that does to the spread of a cost.
    """
    return max(1, min(4, _host_cpus() - _client_cpus()))


def _client_cpus() -> int:
    return 2 if _host_cpus() > 4 else 1


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Cpus = Annotated[int, Field(ge=1, le=64)]
MemoryMb = Annotated[int, Field(ge=256, le=65536)]


class ServerMachine(_Section):
    """The server's virtual machine."""

    cpus: Cpus = Field(default_factory=_server_cpus)
    memory_mb: MemoryMb = 1024


class ClientMachine(_Section):
    """The client's virtual machine."""

    cpus: Cpus = Field(default_factory=_client_cpus)
    memory_mb: MemoryMb = 512


MachineConfig = ServerMachine | ClientMachine


class MachinesConfig(_Section):
    """How the two machines run."""

    provider: Literal["auto", "vagrant", "libvirt"] = "auto"
    accelerator: Literal["auto", "kvm", "emulation"] = "auto"
    nic_model: NicModel = "e1000"
    boot_timeout_s: Annotated[int, Field(ge=10, le=3600)] = 300
    server: ServerMachine = Field(default_factory=ServerMachine)
    client: ClientMachine = Field(default_factory=ClientMachine)


class NetworkConfig(_Section):
    """Addresses of the experiment; they exist only inside the machines' private link."""

    client_address: str = "192.168.64.7"
    server_address: str = "192.168.64.2"
    prefix_length: Annotated[int, Field(ge=8, le=30)] = 24
    match_port: Port = 8080
    gateway_address: str = "10.0.1.1"
    target_address: str = "10.0.1.2"
    target_port: Port = 8083
    namespace: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")] = "sslab-ns"

    @field_validator("client_address", "server_address", "gateway_address", "target_address")
    @classmethod
    def _ipv4(cls, value: str) -> str:
        return str(ipaddress.IPv4Address(value))

    @model_validator(mode="after")
    def _same_links(self) -> "NetworkConfig":
        link = ipaddress.ip_network(f"{self.server_address}/{self.prefix_length}", strict=False)
        if ipaddress.ip_address(self.client_address) not in link:
            raise ValueError(f"client_address {self.client_address} is not in {link}")
        inner = ipaddress.ip_network(f"{self.gateway_address}/24", strict=False)
        if ipaddress.ip_address(self.target_address) not in inner:
            raise ValueError(f"target_address {self.target_address} is not in {inner}")
        if link.overlaps(inner):
            raise ValueError(f"the link {link} and the namespace's {inner} overlap")
        places = {"client_address": link, "server_address": link,
                  "gateway_address": inner, "target_address": inner}  # fmt: skip
        taken: set[str] = set()
        for name, network in places.items():
            address = getattr(self, name)
            if address in taken:
                raise ValueError(f"{name} {address} is another one's address, too")
            taken.add(address)
            if ipaddress.ip_address(address) in (
                network.network_address,
                network.broadcast_address,
            ):
                raise ValueError(f"{name} {address} is no host's address in {network}")
        return self


class BenchConfig(_Section):
    """The experiment; the original's numbers are the defaults."""

    trials: Annotated[int, Field(ge=1, le=1000)] = 5
    rate_pps: Annotated[float, Field(gt=0, le=1_000_000)] = 10_000
    duration_s: Annotated[float, Field(ge=0.1, le=600)] = 1.4
    payload_bytes: Annotated[int, Field(ge=24, le=1472)] = 1000
    jitter: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    settle_s: Annotated[float, Field(ge=0, le=60)] = 0.75
    idle_s: Annotated[float, Field(ge=0.2, le=60)] = 1.0
    drain_s: Annotated[float, Field(ge=0, le=60)] = 1.0
    warm_up: Annotated[int, Field(ge=0, le=10)] = 1
    adapt_load: bool = True
    gro: bool = True
    receive_buffer_bytes: Annotated[int, Field(ge=2048, le=1 << 30)] = 16 << 20

    @field_validator(
        "rate_pps", "duration_s", "jitter", "settle_s", "idle_s", "drain_s", mode="before"
    )
    @classmethod
    def _number(cls, value: object) -> object:
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        try:
            return float(value)
        except OverflowError:
            return math.inf

    @model_validator(mode="after")
    def _sends_something(self) -> "BenchConfig":
        if self.rate_pps * self.duration_s < 1:
            raise ValueError(
                f"{self.rate_pps:g} packets a second for {self.duration_s:g} s are no packet"
            )
        return self


class BoxConfig(_Section):
    """The box's source: a release of Debian, and a mirror; an empty one means Debian's own.

    bookworm has kernel 6.1, trixie 6.12; .deb files of one's own kernel take their place.
    """

    suite: Literal["bookworm", "trixie"] = "bookworm"
    mirror: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    kernel: PackageFile = ""
    kernel_headers: Annotated[tuple[PackageFile, ...], Field(max_length=8)] = ()

    @field_validator("kernel_headers", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        if isinstance(value, str):
            return (value,) if value else ()
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _kernel_with_headers(self) -> "BoxConfig":
        if bool(self.kernel) != bool(self.kernel_headers):
            raise ValueError("kernel and kernel_headers go together: arms are built with both")
        return self


class Config(_Section):
    """Everything, resolved."""

    machines: MachinesConfig = Field(default_factory=MachinesConfig)
    network: NetworkConfig = Field(default_factory=NetworkConfig)
    bench: BenchConfig = Field(default_factory=BenchConfig)
    box: BoxConfig = Field(default_factory=BoxConfig)

    def with_provider(self, name: str) -> "Config":
        """Return this configuration with the option of `testbed up`. Raises ConfigError."""
        whole = self.model_dump()
        whole["machines"]["provider"] = name
        return _validated(whole, None)

    def with_bench(self, **changes: float | int | None) -> "Config":
        """Return this configuration with the given options of `testbed bench`.

        Raises ConfigError that names the option which cannot be used.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        bench = {**self.bench.model_dump(), **given}
        return _validated({**self.model_dump(), "bench": bench}, None)


def load(folder: Path) -> Config:
    """Return the configuration of `folder`, defaults where there is no file.

    Raises ConfigError with file, key and what would be right.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}", hint="mend it or move it away: it is optional"
        ) from error
    try:
        data = parse_toml(text)
    except TomlError as error:
        raise ConfigError(
            f"{path} is not TOML: {error}",
            hint="mend that line; docs/configuration.md lists the keys",
        ) from error
    return _validated(data, path)


def _validated(data: dict[str, Any], path: Path | None) -> Config:
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        problems = [_problem(dict(item), data) for item in error.errors()]
        where = f"{path}: " if path else ""
        raise ConfigError(
            where + "; ".join(problems), hint="docs/configuration.md lists every key and its range"
        ) from error


def _problem(item: dict[str, Any], data: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "the file"
    if item["type"] == "extra_forbidden":
        known = _known(item["loc"][:-1])
        near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
        advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        return f"unknown key {where}: {advice}"
    message = str(item["msg"]).removeprefix("Value error, ")
    if not item["loc"]:
        return message
    return f"{where} = {item['input']!r}: {message[0].lower()}{message[1:]}"


def _known(section: tuple[Any, ...]) -> list[str]:
    model: Any = Config
    for part in section:
        model = model.model_fields[part].annotation
    return list(model.model_fields)
