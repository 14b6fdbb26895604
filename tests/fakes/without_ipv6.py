"""Run a command as on a kernel without IPv6: ``python without_ipv6.py COMMAND …``.

A seccomp filter (seccomp(2)) lets socket(AF_INET6, …) fail with EAFNOSUPPORT, which is what such a kernel says. It
outlives exec, and is in nobody's way but the command's.
"""

import ctypes
import errno
import os
import platform
import socket
import struct
import sys

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_SOCKET = {"x86_64": 41, "aarch64": 198}


def forbid_ipv6() -> None:
    """Let no IPv6 socket be made in this process and what it becomes from here on."""
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (_LOAD, 0, 0, 0),  # the system call's number
            (_JUMP_IF_EQUAL, 0, 3, _SOCKET[platform.machine()]),
            (_LOAD, 0, 0, 16),  # its first argument, the lower half
            (_JUMP_IF_EQUAL, 0, 1, socket.AF_INET6),
            (_RETURN, 0, 0, _ERRNO | errno.EAFNOSUPPORT),
            (_RETURN, 0, 0, _ALLOW),
        )
    )
    instructions = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, fprog, 0, 0)):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    forbid_ipv6()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - it becomes the command
