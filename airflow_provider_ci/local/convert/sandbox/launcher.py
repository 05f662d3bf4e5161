"""Restrict this process by Landlock, block its network, then run the command in its place.

Usage: ``python3 -I -S launcher.py RULES COMMAND...``. RULES is a JSON object of three lists of paths,
``readable``, ``writable`` and ``devices``; ``null`` restricts no files. The launcher imports nothing from
this package, so that it starts fast.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import stat
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
PATH_BENEATH = 1
SET_NO_NEW_PRIVS, SET_SECCOMP, FILTER = 38, 22, 2

# linux/landlock.h
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_SOCKET, REFER, TRUNCATE, IOCTL_DEVICE = 1 << 9, 1 << 13, 1 << 14, 1 << 15
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE
READ = EXECUTE | READ_FILE | READ_DIR
RIGHTS_BY_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
NET_RIGHTS, SCOPES = 3, 3  # TCP bind and connect; abstract sockets and signals

# For each machine: its architecture in linux/audit.h, and the number of its system call ``socket``.
MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
IO_URING_SETUP, FIRST_X32_CALL, AF_UNIX = 425, 0x40000000, 1
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EACCES

# LibreOffice puts the socket of its connection here, whatever TMPDIR says.
SOCKET_FOLDERS = ("/tmp", "/var/tmp")  # noqa: S108


def checked(result: int, what: str) -> int:
    """Return the result of a system call, or exit with the reason why it failed."""
    if result < 0:
        sys.exit(f"sandbox: {what} failed: {os.strerror(ctypes.get_errno())}")
    return result


def restrict_files(rules: dict[str, list[str]]) -> None:
    """Deny access to the file system, except to the paths that the rules name."""
    version = checked(LIBC.syscall(CREATE_RULESET, None, 0, 1), "Landlock")
    # A newer kernel also handles the rights of older versions.
    handled = RIGHTS_BY_VERSION[max(known for known in RIGHTS_BY_VERSION if known <= version)]
    # Version 4 added the network, version 6 the scopes. A kernel refuses a structure longer than it knows.
    fields = (handled, NET_RIGHTS, SCOPES)[: 1 if version < 4 else 2 if version < 6 else 3]
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = checked(
        LIBC.syscall(CREATE_RULESET, attributes, len(attributes), 0), "making a Landlock ruleset"
    )
    for path in rules["readable"]:
        allow(ruleset, path, READ & handled)
    for path in rules["writable"]:
        allow(ruleset, path, handled & ~IOCTL_DEVICE)
    for path in rules["devices"]:
        allow(ruleset, path, (READ_FILE | WRITE_FILE) & handled)
    for path in SOCKET_FOLDERS:
        allow(ruleset, path, MAKE_SOCKET)
    checked(LIBC.syscall(RESTRICT_SELF, ruleset, 0), "entering the Landlock ruleset")
    os.close(ruleset)


def allow(ruleset: int, path: str, rights: int) -> None:
    """Allow the rights for a path and everything below it; a missing path is skipped."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    # The kernel refuses rules that give a file the rights of a folder.
    if not stat.S_ISDIR(os.fstat(place).st_mode):
        rights &= FILE_RIGHTS
    rule = struct.pack("=Qi", rights, place)
    checked(LIBC.syscall(ADD_RULE, ruleset, PATH_BENEATH, rule, 0), f"a Landlock rule for {path}")
    os.close(place)


def close_network() -> bool:
    """Refuse all but local sockets by a filter of system calls; return whether this machine supports it."""
    if platform.machine() not in MACHINES:
        return False
    machine, socket_call = MACHINES[platform.machine()]
    # Calls of another architecture, or in x32 form, are refused: their other numbers would bypass the filter.
    program = [
        (LOAD, 0, 0, 4),  # the architecture of the call
        (JUMP_EQUAL, 0, 7, machine),
        (LOAD, 0, 0, 0),  # the number of the call
        (JUMP_AT_LEAST, 5, 0, FIRST_X32_CALL),
        (JUMP_EQUAL, 4, 0, IO_URING_SETUP),  # io_uring can make sockets, too
        (JUMP_EQUAL, 0, 2, socket_call),
        (LOAD, 0, 0, 16),  # the first argument of the call: the family of the socket
        (JUMP_EQUAL, 0, 1, AF_UNIX),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE),
    ]
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    return bool(LIBC.prctl(SET_SECCOMP, FILTER, header, 0, 0) == 0)


def main() -> None:
    """Apply the restrictions given as arguments and run the command."""
    rules = json.loads(sys.argv[1])
    # The kernel requires this of processes without privileges, for Landlock and for the filter.
    checked(LIBC.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0), "giving up new privileges")
    if rules is not None:
        restrict_files(rules)
    close_network()
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - the command comes from the server


if __name__ == "__main__":
    main()
