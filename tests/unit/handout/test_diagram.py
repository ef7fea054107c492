# SPDX-License-Identifier: Apache-2.0
"""The drawing of the path: every stage and hook, within its width, readable without seeing it."""

import re
import xml.etree.ElementTree as ET

import pytest

from testbed.handout import page
from testbed.handout.catalogue import Catalogue
from testbed.handout.diagram import (
    BOX_WIDTH,
    HOOK_X,
    INNER_RIGHT,
    WIDTH,
    draw_path,
    in_words,
    width_of,
    wrapped,
)
from testbed.handout.facts import facts_of
from testbed.handout.path import ELSEWHERE, STAGES, arms_at, place_of, stages_for
from testbed.model.arm import Arm
from testbed.model.config import Config, NetworkConfig
from tests.unit.factories.handout_page import LANGUAGES, TEMPLATES, sheet

SVG = "{http://www.w3.org/2000/svg}"
LONG = NetworkConfig(
    client_address="192.168.164.117", server_address="192.168.164.112",
    gateway_address="172.116.101.121", target_address="172.116.101.122", match_port=58080,
    target_port=58083, namespace="a-name-as-long-as-allowed-here",
)  # fmt: skip
EVERY = pytest.mark.parametrize("language", LANGUAGES)


def text(language: str = "en", config: Config | None = None) -> Catalogue:
    made = sheet(config)
    return page._catalogue(made, language, facts_of(made.config, made.arms, made.arms_dir))


def arms() -> list[Arm]:
    return list(sheet().arms.values())


def like(name: str, hook: str, mode: str) -> Arm:
    one = sheet().arms["xdp"]
    expect = one.expect.model_copy(update={"mode": mode})
    return one.model_copy(update={"name": name, "hook": hook, "expect": expect})


def drawn(given: list[Arm], language: str = "en", config: Config | None = None) -> ET.Element:
    return ET.fromstring(str(draw_path(given, text(language, config))))


def words(svg: ET.Element) -> list[str]:
    return ["".join(node.itertext()) for node in svg.iter(f"{SVG}text")]


def test_every_arm_is_at_its_hook() -> None:
    assert {one.name: place_of(one) for one in arms() if one.hook == "none"} == {"none": ""}
    at = {place: {one.name for one in found} for place, found in arms_at(arms()).items()}
    assert {"netfilter", "netfilter-logging"} <= at["prerouting"]
    assert {"xdp", "xdp-bounded-csum"} <= at["generic"]
    assert place_of(like("x", "xdp", "native")) == "native"
    assert place_of(like("x", "nftables", "nftables")) == "prerouting"
    assert place_of(like("x", "flowtable", "any")) == ELSEWHERE


def test_a_place_that_only_an_arm_of_yours_uses_is_drawn_for_it() -> None:
    assert "tc" not in {stage.key for stage in stages_for(arms())}
    given = [*arms(), like("tc-bpf", "tc", "clsact")]
    assert "tc" in {stage.key for stage in stages_for(given)}
    assert any("tc-bpf" in line for line in words(drawn(given)))


def test_the_drawing_follows_the_packet() -> None:
    svg = drawn(arms())
    down = {"".join(node.itertext()): float(node.get("y", "0")) for node in svg.iter(f"{SVG}text")}
    order = ["client.py", "NIC driver", "native XDP", "socket buffer", "generic XDP",
             "IP receives", "PRE_ROUTING", "routing, forwarding", "veth, outer end",
             "veth, inner end", "UDP receives"]  # fmt: skip
    heights = [down[name] for name in order]
    assert heights == sorted(heights)
    assert down["no arm here"] > down["native XDP"]
    discs = [node.get("class") for node in svg.iter(f"{SVG}circle")]
    assert discs == ["hook free", "hook used", "hook used"]


@EVERY
@pytest.mark.parametrize("network", [NetworkConfig(), LONG])
def test_nothing_leaves_the_drawing_or_its_box(language: str, network: NetworkConfig) -> None:
    config = Config(network=network)
    more = [like(f"another-arm-with-a-long-name-{n}", "nftables", "x") for n in range(4)]
    svg = drawn([*arms(), *more], language, config)
    height = float((svg.get("viewBox") or "").split()[3])
    assert (svg.get("viewBox") or "").split()[:3] == ["0", "0", str(WIDTH)]
    for node in svg.iter(f"{SVG}text"):
        said = "".join(node.itertext())
        size, x = float(node.get("font-size", "0")), float(node.get("x", "0"))
        wide = width_of(said, size)
        anchor = node.get("text-anchor")
        if anchor == "middle":
            assert wide <= BOX_WIDTH - 4, said
        elif anchor == "end":
            assert x - wide >= 0, said
        else:
            assert x + wide <= WIDTH, said
        assert 0 < float(node.get("y", "0")) < height
        assert size >= 10.5


@EVERY
def test_it_says_in_words_what_it_shows(language: str) -> None:
    svg = drawn(arms(), language)
    assert svg.get("role") == "img"
    named = (svg.get("aria-labelledby") or "").split()
    assert [node.get("id") for node in (svg.find(f"{SVG}title"), svg.find(f"{SVG}desc"))
            if node is not None] == named  # fmt: skip
    description = svg.find(f"{SVG}desc")
    assert description is not None
    assert description.text == in_words(arms(), text(language))
    for one in arms():
        assert (one.name in (description.text or "")) == (one.hook != "none")


def test_colours_are_attributes_that_the_page_overrides() -> None:
    svg = str(draw_path(arms(), text()))
    assert "style=" not in svg and "currentColor" not in svg and "var(" not in svg
    css = (TEMPLATES / "handout/style.css").read_text()
    classes = set(re.findall(r'class="([a-z ]+)"', svg)) - {"path"}
    for name in {part for each in classes for part in each.split()} - {"client", "server"}:
        assert f"svg.path .{name}" in css or f".frame.{name}" in css or name == "hook", name


def test_words_are_wrapped_by_their_width() -> None:
    assert wrapped(["aa", "bb", "cc"], 4 * 5.6 + 1 + 5.6, 10) == ["aa bb", "cc"]
    assert wrapped(["much-too-long"], 10, 10) == ["much-too-long"]
    assert wrapped([], 10, 10) == []
    assert width_of("가나", 10) == 20
    assert HOOK_X < INNER_RIGHT


def test_every_stage_has_its_texts() -> None:
    for language in LANGUAGES:
        made = text(language)
        for stage in STAGES:
            assert made.has(f"stage.{stage.key}")
            assert made.has(f"detail.{stage.key}") != stage.is_hook
