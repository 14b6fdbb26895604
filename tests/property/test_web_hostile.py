"""Whatever strangers write, a page is whole and a picture in order: no markup of theirs, no box in another."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html import unescape

from hypothesis import given, settings
from hypothesis import strategies as st

from danelaw.model import Finding, Report, Target, TlsaRecord
from danelaw.web.page import page, sentence
from danelaw.web.picture import draw
from danelaw.web.scene import Address, Band, Certificates, Pin, Place, Presents, Scene, scene
from danelaw.web.words import State, shown
from fakes import reports

SVG = "{http://www.w3.org/2000/svg}"
TAG = re.compile(r"<(/?[a-zA-Z!][^\s>]*)")

texts = st.text(max_size=120) | st.text(alphabet="<>\"'&`{}%/=! scriptx\x00\u202e\ud800", max_size=60)
states: st.SearchStrategy[State] = st.sampled_from(["good", "weak", "bad", "unknown", "plain"])
places = st.builds(Place, states, texts, texts)


@st.composite
def bands(draw_: st.DrawFn) -> Band:
    """A host with up to eight addresses, two kinds of certificate each, and six records."""
    chains = draw_(
        st.lists(
            st.builds(
                Certificates,
                texts,
                states,
                st.lists(places, min_size=1, max_size=4).map(tuple),
                st.integers(0, 20),
            ),
            max_size=4,
        )
    )
    which = st.sampled_from([None, *range(len(chains))])
    rows = st.lists(st.builds(Presents, states, texts, texts, which), min_size=1, max_size=2).map(tuple)
    pins = [(chain, row) for chain, certificates in enumerate(chains) for row in range(len(certificates.rows))]
    pinned = st.lists(st.sampled_from(pins), max_size=3).map(tuple) if pins else st.just(())
    return Band(
        host=draw_(texts),
        state=draw_(states),
        verdict=draw_(texts),
        found=draw_(places),
        tlsa=draw_(places),
        addresses=tuple(draw_(st.lists(st.builds(Address, texts, rows), max_size=8))),
        chains=tuple(chains),
        records=tuple(draw_(st.lists(st.builds(Pin, states, texts, texts, pinned), max_size=6))),
        left_out=draw_(texts),
    )


scenes = st.builds(
    Scene,
    texts,
    st.lists(places, min_size=1, max_size=3).map(tuple),
    st.lists(bands(), max_size=3).map(tuple),
    texts,
)


def inside(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Return whether a box (left, top, right, bottom) lies in another."""
    return other[0] <= one[0] and other[1] <= one[1] and one[2] <= other[2] and one[3] <= other[3]


def apart(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


@settings(max_examples=30)
@given(scenes, st.booleans())
def test_every_picture_is_in_order(what: Scene, narrow: bool) -> None:  # noqa: FBT001 - drawn
    root = ET.fromstring(draw(what, narrow=narrow))  # noqa: S314 - what we wrote ourselves
    width, height = int(root.get("width") or 0), int(root.get("height") or 0)
    boxes = []
    for rect in root.iter(f"{SVG}rect"):
        x, y, w, h = (int(rect.get(name) or 0) for name in ("x", "y", "width", "height"))
        boxes.append((x, y, x + w, y + h))
        assert inside(boxes[-1], (0, 0, width, height))
    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            assert apart(one, other) or inside(other, one)
    frames = [each for each in root.iter(f"{SVG}rect") if "frame" in (each.get("class") or "")]
    assert len(frames) == len(what.bands)
    for text in root.iter(f"{SVG}text"):
        # As wide as the widest of the usual fonts make it; the browser's tests measure it.
        cell = 10.4 if "tiny" in (text.get("class") or "") else 12
        shown_text = (text.text or "") + "".join(child.tail or "" for child in text)
        assert float(text.get("x") or 0) + len(shown_text) * cell * 0.5 <= width


@given(texts)
def test_text_is_shown_in_one_printable_line(text: str) -> None:
    found = shown(text)
    assert "\n" not in found
    assert found.isprintable()
    assert found.encode().decode() == found


@given(texts)
def test_a_sentence_says_what_was_said_and_has_no_markup_of_its_own(text: str) -> None:
    found = str(sentence(text))
    assert set(TAG.findall(found)) <= {"code", "/code"}
    bare = unescape(re.sub("</?code>", "", found))
    assert bare.replace("`", "").lower().startswith(shown(text.strip(), 1200).replace("`", "").lower())


def hostile(text: str, data: bytes) -> Report:
    """A report with a text wherever a stranger has a say, beside our own."""
    chain = reports.chain()
    found = reports.looked_up("x", "TXT", "bogus", texts=(text,), why=text, warnings=(text,), canonical=text or "x")
    tlsa = reports.tlsa_state(text, [TlsaRecord(3, 1, 1, data), reports.record(chain)], found=found)
    shaken = reports.shaken(text, chain, banner=text, detail=text, version=text)
    endpoint = reports.endpoint(
        text, presented=chain, addresses=(text,), tlsa=tlsa, handshakes=[shaken], lookups=(found,)
    )
    report = reports.report(endpoint, target=Target(text), policy=reports.policy(text), beside=(found,))
    return replace(report, findings=(Finding("code", "error", text, text, text, text),))


@settings(max_examples=25)
@given(texts, st.binary(max_size=40))
def test_a_page_has_the_same_elements_whatever_strangers_say(text: str, data: bytes) -> None:
    plain, found = hostile("plain", b"x" * 32), hostile(text, data)
    elements = set(TAG.findall(page(found)))
    assert elements <= {*TAG.findall(page(plain)), "br", "code", "/code", "a", "/a", "/title", "title"}
    assert len(scene(found).bands) == 1
