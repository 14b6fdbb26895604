"""The addresses of this host's interfaces, asked of the C library: no subprocess, and no text to parse."""

import ctypes
import ipaddress
import os
import socket


class _Sockaddr(ctypes.Structure):
    _fields_ = (("family", ctypes.c_ushort), ("data", ctypes.c_ubyte * 26))


class _Ifaddrs(ctypes.Structure):
    pass


# getifaddrs(3) on Linux, the same in glibc and musl; what follows `addr` is not read.
_Ifaddrs._fields_ = (
    ("next", ctypes.POINTER(_Ifaddrs)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("addr", ctypes.POINTER(_Sockaddr)),
)

# Where an address starts in `data`: after the port (sockaddr_in), after port and flow label (sockaddr_in6).
_PLACES = {socket.AF_INET: slice(2, 6), socket.AF_INET6: slice(6, 22)}


def interface_addresses() -> frozenset[str]:
    """Return every IPv4 and IPv6 address of every interface, loopback included. Raises `OSError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    first = ctypes.POINTER(_Ifaddrs)()
    if libc.getifaddrs(ctypes.byref(first)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    try:
        found = set()
        entry = first
        while entry:
            address = _address(entry.contents)
            if address is not None:
                found.add(address)
            entry = entry.contents.next
        return frozenset(found)
    finally:
        libc.freeifaddrs(first)


def normal(address: str) -> str:
    """Return an address as `interface_addresses` writes it, anything else unchanged."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def _address(entry: _Ifaddrs) -> str | None:
    if not entry.addr:
        return None
    sockaddr = entry.addr.contents
    place = _PLACES.get(sockaddr.family)
    return None if place is None else str(ipaddress.ip_address(bytes(sockaddr.data[place])))
