# SPDX-License-Identifier: MIT
"""What a suite builds for itself below the build folder: once, until what it is made of changes."""
import fcntl


def prepare(home, fingerprint, make):
    """Calls make() unless it was called for the same fingerprint before; `home` is made."""
    home.mkdir(parents=True, exist_ok=True)
    stamp = home / "stamp"
    with open(home / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests of the suite run beside each other
        if not stamp.exists() or stamp.read_text() != fingerprint:
            stamp.unlink(missing_ok=True)
            make()
            stamp.write_text(fingerprint)
