# SPDX-License-Identifier: Apache-2.0
"""testbed.toml: what is refused, in which words, and that nothing else can come of it."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.model import config
from testbed.model.config import Config
from testbed.model.errors import ConfigError, ExitCode

RANGE_HINT = "docs/configuration.md lists every key and its range"
BENCH_KEYS = (
    "trials, rate_pps, duration_s, payload_bytes, jitter, settle_s, idle_s, drain_s, warm_up, "
    "adapt_load, gro, receive_buffer_bytes"
)

# What stands in the file, and what is said of it after "<path>: ".
REFUSED = {
    "[bench]\nrate_ppz = 1": "unknown key bench.rate_ppz: did you mean rate_pps?",
    "[benhc]\ntrials = 3": "unknown key benhc: did you mean bench?",
    "[machines.server]\ncpu = 1": "unknown key machines.server.cpu: did you mean cpus?",
    "zzz = 1": "unknown key zzz: known: machines, network, bench, box",
    "[bench]\nqqqq = 1": f"unknown key bench.qqqq: known: {BENCH_KEYS}",
    '[bench]\nrate_pps = "fast"': "bench.rate_pps = 'fast': input should be a valid number",
    "[bench]\nrate_pps = true": "bench.rate_pps = True: input should be a valid number",
    "[bench]\nrate_pps = 0": "bench.rate_pps = 0.0: input should be greater than 0",
    "[bench]\nrate_pps = -1": "bench.rate_pps = -1.0: input should be greater than 0",
    "[bench]\nrate_pps = inf": (
        "bench.rate_pps = inf: input should be less than or equal to 1000000"
    ),
    "[bench]\nrate_pps = nan": (
        "bench.rate_pps = nan: input should be less than or equal to 1000000"
    ),
    "[bench]\ntrials = 2.5": "bench.trials = 2.5: input should be a valid integer",
    "[bench]\ntrials = 0": "bench.trials = 0: input should be greater than or equal to 1",
    "[bench]\npayload_bytes = 1473": (
        "bench.payload_bytes = 1473: input should be less than or equal to 1472"
    ),
    "[bench]\npayload_bytes = 23": (
        "bench.payload_bytes = 23: input should be greater than or equal to 24"
    ),
    "[bench]\njitter = 0.6": "bench.jitter = 0.6: input should be less than or equal to 0.5",
    '[bench]\nrate_pps = "x"\ntrials = 0': (
        "bench.trials = 0: input should be greater than or equal to 1; "
        "bench.rate_pps = 'x': input should be a valid number"
    ),
    '[machines]\nnic_model = "rtl"': (
        "machines.nic_model = 'rtl': input should be 'e1000', 'e1000e', 'igb' or 'virtio'"
    ),
    '[machines]\naccelerator = "tcg"': (
        "machines.accelerator = 'tcg': input should be 'auto', 'kvm' or 'emulation'"
    ),
    "[machines.server]\ncpus = 0": (
        "machines.server.cpus = 0: input should be greater than or equal to 1"
    ),
    "[network]\nserver_address = 5": ("network.server_address = 5: input should be a valid string"),
    '[network]\nserver_address = "999.1.1.1"': (
        "network.server_address = '999.1.1.1': octet 999 (> 255) not permitted in '999.1.1.1'"
    ),
    '[network]\nclient_address = "192.168.65.7"': (
        "network = {'client_address': '192.168.65.7'}: "
        "client_address 192.168.65.7 is not in 192.168.64.0/24"
    ),
    '[network]\ntarget_address = "10.0.2.2"': (
        "network = {'target_address': '10.0.2.2'}: target_address 10.0.2.2 is not in 10.0.1.0/24"
    ),
    '[network]\ngateway_address = "192.168.64.1"\ntarget_address = "192.168.64.3"': (
        "network = {'gateway_address': '192.168.64.1', 'target_address': '192.168.64.3'}: "
        "the link 192.168.64.0/24 and the namespace's 192.168.64.0/24 overlap"
    ),
    "[network]\nmatch_port = 65536": (
        "network.match_port = 65536: input should be less than or equal to 65535"
    ),
    '[network]\nnamespace = "a;b"': (
        "network.namespace = 'a;b': string should match pattern '^[a-z][a-z0-9-]{0,30}$'"
    ),
    '[network]\nnamespace = "abc\\n"': (
        r"network.namespace = 'abc\n': string should match pattern '^[a-z][a-z0-9-]{0,30}$'"
    ),
    '[box]\nmirror = "ftp://x"': (
        r"box.mirror = 'ftp://x': string should match pattern '^(https?://\S+)?$'"
    ),
    '[box]\nkernel = "bzImage"': (
        r"box.kernel = 'bzImage': string should match pattern '^(.+\.deb)?$'"
    ),
    '[box]\nkernel = "a.deb"': (
        "box = {'kernel': 'a.deb'}: kernel and kernel_headers go together: arms are built with both"
    ),
    '[box]\nkernel_headers = "a.deb"': (
        "box = {'kernel_headers': 'a.deb'}: kernel and kernel_headers go together: arms are built "
        "with both"
    ),
    "[box]\nkernel_headers = [3]": "box.kernel_headers.0 = 3: input should be a valid string",
}


def load(folder: Path, text: str) -> Config:
    (folder / "testbed.toml").write_text(text, encoding="utf-8")
    return config.load(folder)


def test_no_file_gives_the_originals_values(tmp_path: Path) -> None:
    given = config.load(tmp_path)
    bench, network = given.bench, given.network
    assert (bench.trials, bench.rate_pps, bench.duration_s, bench.payload_bytes) == (
        5, 10_000, 1.4, 1000,
    )  # fmt: skip
    assert (network.client_address, network.server_address) == ("192.168.64.7", "192.168.64.2")
    assert (network.target_address, network.target_port, network.match_port) == (
        "10.0.1.2", 8083, 8080,
    )  # fmt: skip
    assert given.machines.nic_model == "e1000"


def test_headers_are_one_file_or_several_and_are_kept_with_other_options(tmp_path: Path) -> None:
    for text, headers in (('"h.deb"', ("h.deb",)), ('["h.deb", "c.deb"]', ("h.deb", "c.deb"))):
        given = load(tmp_path, f'[box]\nkernel = "k.deb"\nkernel_headers = {text}\n')
        assert given.with_bench(trials=3).box == given.box
        assert given.box.kernel_headers == headers
        assert Config.model_validate(given.model_dump(mode="json")) == given
    assert load(tmp_path, '[box]\nkernel = ""\nkernel_headers = ""\n') == Config()


def test_a_key_changes_that_key_alone(tmp_path: Path) -> None:
    changed = load(tmp_path, "[bench]\ntrials = 7\n[machines.server]\nmemory_mb = 2048\n")
    expected = config.Config().model_dump()
    expected["bench"]["trials"] = 7
    assert changed.bench.model_dump() == expected["bench"]
    assert changed.machines.server.memory_mb == 2048
    assert changed.network == Config().network


@pytest.mark.parametrize(("text", "said"), REFUSED.items(), ids=list(REFUSED.values()))
def test_refused_with_the_key_and_what_would_be_right(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert caught.value.message == f"{tmp_path / 'testbed.toml'}: {said}"
    assert caught.value.hint == RANGE_HINT
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize("text", ["[bench", "trials = ", "a = 1\na = 2", "\0", "= 3"])
def test_not_toml(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert caught.value.message.startswith(f"{tmp_path / 'testbed.toml'} is not TOML: ")
    assert "line" in caught.value.message or "end of document" in caught.value.message
    assert caught.value.hint == "mend that line; docs/configuration.md lists the keys"


@pytest.mark.parametrize("value", ["[" * 20_000 + "]" * 20_000, "9" * 5000])
def test_toml_that_python_cannot_read(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"is not TOML: (its values lie|a number has) too"):
        load(tmp_path, f"a = {value}")


def test_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "testbed.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"testbed\.toml cannot be read: 'utf-8' codec"):
        config.load(tmp_path)
    (tmp_path / "testbed.toml").unlink()
    (tmp_path / "testbed.toml").mkdir()
    with pytest.raises(ConfigError, match=r"cannot be read: .*Is a directory"):
        config.load(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        '[network]\nclient_address = "192.168.64.2"',
        '[network]\ngateway_address = "10.0.1.2"',
        '[network]\nclient_address = "192.168.64.255"',
        '[network]\nclient_address = "192.168.64.0"',
        "[bench]\nrate_pps = 1\nduration_s = 0.1",
        "[bench]\nrate_pps = 1" + "0" * 400,
    ],
    ids=["one address twice", "gateway is target", "broadcast", "network", "no packet", "huge"],
)
def test_cannot_work_and_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, text)


def test_options_of_bench_are_checked_like_the_file() -> None:
    changed = Config().with_bench(trials=3, rate_pps=None, payload_bytes=64)
    assert (changed.bench.trials, changed.bench.payload_bytes) == (3, 64)
    assert changed.bench.rate_pps == Config().bench.rate_pps
    with pytest.raises(ConfigError) as caught:
        Config().with_bench(rate_pps=-1)
    assert caught.value.message == "bench.rate_pps = -1.0: input should be greater than 0"


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().bench.trials = 3  # type: ignore[misc]


# Any TOML value, as text: the known names often enough to get below the surface.
NAMES = st.sampled_from(
    ["machines", "network", "bench", "box", "server", "client", "cpus", "rate_pps", "trials",
     "suite", "mirror", "namespace", "server_address",
     "client_address", "target_address", "prefix_length"]
)  # fmt: skip
NAMES |= st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
PLAIN = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(lambda x: repr(x) if "e" not in repr(x) else f"{x:e}"),
    st.booleans().map(lambda x: str(x).lower()),
    st.text(max_size=12).map(lambda x: '"' + "".join(f"\\U{ord(c):08x}" for c in x) + '"'),
    st.sampled_from(['"10.0.1.2"', '"::1"', '"192.168.64.9"', '""', "1979-05-27", "07:32:00"]),
)
VALUES: st.SearchStrategy[str] = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]"),
        st.dictionaries(NAMES, inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"{k} = {v}" for k, v in items.items()) + "}"
        ),
    ),
    max_leaves=6,
)
TABLES = st.dictionaries(NAMES, VALUES, max_size=4)


@settings(max_examples=150, deadline=None)
@given(tables=TABLES, raw=st.none() | st.binary(max_size=40))
def test_any_file_gives_a_config_or_a_config_error(
    tables: dict[str, str], raw: bytes | None
) -> None:
    text = "\n".join(f"{key} = {value}" for key, value in tables.items())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "testbed.toml"
        path.write_bytes(text.encode() if raw is None else raw)
        try:
            result: Any = config.load(Path(folder))
        except ConfigError as error:
            result = error
            assert error.message.startswith(str(path))
    assert isinstance(result, Config | ConfigError)
