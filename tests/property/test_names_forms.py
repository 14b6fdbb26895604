from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from danelaw.names import BadName, a_label, canonical_address, format_host_port, parse_host_port

LABELS = st.text("abcxyzABCXYZ0189-äßΣ中_*.。 ", max_size=12)
NAMES = st.lists(LABELS, max_size=5).map(".".join) | st.text(max_size=80)


@given(NAMES, st.booleans(), st.booleans())
def test_a_label_gives_its_own_form_or_one_error(name: str, wildcard: bool, underscore: bool) -> None:  # noqa: FBT001 - drawn
    try:
        result = a_label(name, wildcard=wildcard, underscore=underscore)
    except BadName as error:
        assert str(error).isprintable()  # noqa: PT017 - most texts are refused, and a few are not
        return
    assert a_label(result, wildcard=wildcard, underscore=underscore) == result
    assert result.isascii()
    assert result == result.lower()
    assert len(result) <= 253
    assert all(0 < len(label) <= 63 for label in result.split("."))


@given(st.ip_addresses(), st.integers(1, 65535))
def test_host_and_port_come_back(address: IPv4Address | IPv6Address, port: int) -> None:
    host = canonical_address(address.exploded)
    assert parse_host_port(format_host_port(host, port)) == (host, port)


@given(st.text(max_size=60) | st.builds("{}:{}".format, NAMES, st.integers(-5, 70000)))
def test_parse_host_port_gives_a_pair_or_one_error(text: str) -> None:
    try:
        host, port = parse_host_port(text)
    except BadName as error:
        assert str(error).isprintable()  # noqa: PT017 - most texts are refused, and a few are not
        return
    assert 1 <= port <= 65535
    assert parse_host_port(format_host_port(host, port)) == (host, port)
