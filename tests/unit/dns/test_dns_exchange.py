import pytest

from danelaw.dns.exchange import Address, parse_address
from danelaw.errors import InputError


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("192.0.2.53", Address("192.0.2.53", 53), "192.0.2.53"),
        ("192.0.2.53:53", Address("192.0.2.53", 53), "192.0.2.53"),
        ("127.0.53.1:5353", Address("127.0.53.1", 5353), "127.0.53.1:5353"),
        ("2001:DB8::53", Address("2001:db8::53", 53), "2001:db8::53"),
        ("[2001:db8::53]", Address("2001:db8::53", 53), "2001:db8::53"),
        ("[::1]:5353", Address("::1", 5353), "[::1]:5353"),
    ],
)
def test_addresses_are_read_and_written(text: str, address: Address, shown: str) -> None:
    assert parse_address(text) == address
    assert str(address) == shown
    assert parse_address(shown) == address


@pytest.mark.parametrize(
    "text",
    ["", "ns1.example.org", "192.0.2.53:", "192.0.2.53:0", "1.2.3.4:65536", "[::1", "[::1]5353", "1:2:3", "1.2.3.4:x"],
)
def test_text_that_is_no_address(text: str) -> None:
    with pytest.raises(InputError):
        parse_address(text)
