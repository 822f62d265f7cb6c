# SPDX-License-Identifier: MIT
"""A port for a server of the tests or of the bench; free_port.h says why the kernel is not asked for one."""
import random
import socket

LOWEST = 10000
FIRST_OF_LINUX = 32768
TRIES = 1000
_reserved = []  # they keep others away as long as this process lives


def _first_of_kernel():
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
            first = int(file.read().split()[0])
    except OSError:
        return FIRST_OF_LINUX
    return first if first > LOWEST else FIRST_OF_LINUX


def _reserve(port):
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0pawl-proof-port-{port}")
    except OSError:
        name.close()
        return False
    _reserved.append(name)
    return True


def _nobody_listens(port):
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def free_port():
    draw = random.SystemRandom()
    for _ in range(TRIES):
        port = draw.randrange(LOWEST, _first_of_kernel())
        if _reserve(port) and _nobody_listens(port):
            return port
    raise OSError("no port is free")
