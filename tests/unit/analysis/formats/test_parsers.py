# SPDX-License-Identifier: Apache-2.0
"""The parsers: mpstat in both forms, /proc texts, JSON with places, kernel log."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.analysis.formats.kernel_log import parse_kernel_log
from testbed.analysis.formats.mpstat import mpstat_of, parse_mpstat_text, render_mpstat_text
from testbed.analysis.formats.proc_files import difference, parse_per_cpu, parse_snmp, parse_stat
from testbed.model.errors import ParseError
from testbed.model.json_node import parse_json
from tests import PROJECT

FIXTURES = PROJECT / "testbed/analysis/published"
PUBLISHED = ("netfilter-mpstat.txt", "xdp-mpstat.txt")

MPSTAT_JSON = """{"sysstat": {
\t"hosts": [
\t\t{
\t\t\t"nodename": "server",
\t\t\t"sysname": "Linux",
\t\t\t"release": "6.1.0-41-amd64",
\t\t\t"machine": "x86_64",
\t\t\t"number-of-cpus": 2,
\t\t\t"date": "11/23/26",
\t\t\t"statistics": [
\t\t\t\t{
\t\t\t\t\t"timestamp": "01:00:00",
\t\t\t\t\t"cpu-load": [
\t\t\t\t\t\t{"cpu": "all", "usr": 1.00, "nice": 0.00, "sys": 2.00, "iowait": 0.00, \
"irq": 0.00, "soft": 3.00, "steal": 0.00, "guest": 0.00, "gnice": 0.00, "idle": 94.00},
\t\t\t\t\t\t{"cpu": "0", "usr": 2.00, "nice": 0.00, "sys": 4.00, "iowait": 0.00, \
"irq": 0.00, "soft": 6.00, "steal": 0.00, "guest": 0.00, "gnice": 0.00, "idle": 88.00}
\t\t\t\t\t]
\t\t\t\t}
\t\t\t]
\t\t}
\t]
}}
"""


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_mpstat_text_survives_reading_and_writing(name: str) -> None:
    text = (FIXTURES / name).read_text()
    assert render_mpstat_text(parse_mpstat_text(text, name)) == text


def test_published_mpstat_says_what_the_report_printed() -> None:
    name = "netfilter-mpstat.txt"
    recording = parse_mpstat_text((FIXTURES / name).read_text(), name)
    assert recording.cpu_count == 4
    assert len(recording.samples) == 7
    assert recording.average[0]["soft"] == 1.74
    assert recording.average[0]["idle"] == 94.95


def test_json_renders_as_the_text_form_of_the_c_locale() -> None:
    text = render_mpstat_text(mpstat_of(parse_json(MPSTAT_JSON, "mpstat.json")))
    assert text == (
        "Linux 6.1.0-41-amd64 (server) \t11/23/26 \t_x86_64_\t(2 CPU)\n"
        "\n"
        "00:59:59     CPU    %usr   %nice    %sys %iowait    %irq   %soft  %steal  %guest"
        "  %gnice   %idle\n"
        "01:00:00     all    1.00    0.00    2.00    0.00    0.00    3.00    0.00    0.00"
        "    0.00   94.00\n"
        "Average:     all    1.00    0.00    2.00    0.00    0.00    3.00    0.00    0.00"
        "    0.00   94.00\n"
    )


@pytest.mark.parametrize(
    ("first", "start"),
    [
        ("12:00:00 AM", "11:59:59 PM"),
        ("12:00:00 PM", "11:59:59 AM"),
        ("01:00:00 PM", "12:59:59 PM"),
        ("00:00:00", "23:59:59"),
    ],
)
def test_the_header_carries_the_second_before_the_first_row(first: str, start: str) -> None:
    columns = " ".join(["0.00"] * 9 + ["100.00"])
    text = f"Linux 6.1 (a) \t1/1/26 \t_x_\t(1 CPU)\n\n{first}  all {columns}\n"
    assert render_mpstat_text(parse_mpstat_text(text, "m")).splitlines()[2].startswith(start)


@given(cut=st.integers(min_value=0, max_value=len(MPSTAT_JSON) - 3))
def test_any_truncation_of_mpstat_json_names_the_file(cut: int) -> None:
    with pytest.raises(ParseError, match=r"^mpstat\.json"):
        mpstat_of(parse_json(MPSTAT_JSON[:cut], "mpstat.json"))


@given(cut=st.integers(min_value=0, max_value=900))
def test_any_truncation_of_mpstat_text_is_a_record_or_a_named_error(cut: int) -> None:
    text = (FIXTURES / PUBLISHED[0]).read_text()[:cut]
    try:
        parse_mpstat_text(text, "mpstat.txt")
    except ParseError as error:
        assert error.message.startswith("mpstat.txt: line ")


def test_mpstat_json_names_the_place_of_a_missing_column() -> None:
    with pytest.raises(ParseError) as caught:
        mpstat_of(parse_json(MPSTAT_JSON.replace('"soft": 3.00, ', ""), "mpstat.json"))
    place = "sysstat.hosts[0].statistics[0].cpu-load[0].soft"
    assert caught.value.message == f"mpstat.json: {place}: missing"


def test_stat_reads_all_and_each_cpu() -> None:
    stat = parse_stat("cpu  10 0 5 1000 7 0 2 0 0 0\ncpu0 10 0 5 1000 7 0 2 0 0 0\nintr 1\n")
    assert stat.total["softirq"] == 2
    assert stat.not_busy_ticks == 1007
    assert list(stat.cpus) == [0]


@pytest.mark.parametrize(
    "text", ["", "intr 5\n", "cpu 1 2\n", "cpu a b c d e\n", "cpu 1 2 3 4 5\n"]
)
def test_stat_refuses_what_is_not_stat(text: str) -> None:
    with pytest.raises(ParseError, match="/proc/stat"):
        parse_stat(text)


def test_per_cpu_tables() -> None:
    text = "      CPU0  CPU1\n 11:    7    9  IO-APIC  11-fasteoi  lab0\nERR:    3\n"
    assert parse_per_cpu(text, "interrupts") == {"11": (7, 9), "ERR": (3,)}
    with pytest.raises(ParseError, match="no CPU header"):
        parse_per_cpu("NET_RX: 4\n", "softirqs")


def test_snmp_pairs_names_with_values() -> None:
    text = "Udp: InDatagrams InCsumErrors\nUdp: 5 2\nIpExt: InOctets\nIpExt: 9\n"
    assert parse_snmp(text, "snmp") == {
        "UdpInDatagrams": 5,
        "UdpInCsumErrors": 2,
        "IpExtInOctets": 9,
    }
    with pytest.raises(ParseError, match="snmp: line 2"):
        parse_snmp("Udp: A B\nUdp: 1\n", "snmp")
    with pytest.raises(ParseError, match="without values"):
        parse_snmp("Udp: A B\n", "snmp")


def test_a_counter_of_one_side_only_has_no_difference() -> None:
    assert difference({"a": 1, "b": 2}, {"a": 4, "c": 9}) == {"a": 3, "b": None, "c": None}


def test_json_errors_name_line_and_place() -> None:
    with pytest.raises(ParseError, match=r"f\.json: line 2 column"):
        parse_json('{"a":\n', "f.json")
    with pytest.raises(ParseError, match="NaN"):
        parse_json('{"a": NaN}', "f.json")
    node = parse_json('{"trials": [{"offered": "many"}], "n": true}', "f.json")
    with pytest.raises(ParseError, match=r"f\.json: trials\[0\]\.offered: expected a whole number"):
        node.get("trials").items()[0].integer("offered")
    with pytest.raises(ParseError, match="n: expected a whole number, found true"):
        node.integer("n")


def test_kernel_log_keeps_text_as_it_is() -> None:
    record = {"seq": 4, "monotonic_us": 9, "level": 6, "text": "<b>not bold</b>"}
    (line,) = parse_kernel_log(json.dumps(record) + "\n\n", "kernel-log.jsonl")
    assert line.text == "<b>not bold</b>"
    with pytest.raises(ParseError, match="record 1"):
        parse_kernel_log('{"seq": 4', "kernel-log.jsonl")
