# SPDX-License-Identifier: MIT
"""Services of systemd: what is said in NOTIFY_SOCKET, when, and by whom; the units in contrib/systemd."""
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from harness import PATIENCE, PAWL, clean_env, reporter

SOURCE = Path(os.environ["PAWL_SOURCE"])
UNITS = sorted((SOURCE / "contrib/systemd").iterdir())


class Manager:
    """The socket of a service manager; it knows who has sent what, as systemd does."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(name.replace("@", "\0", 1))
        self.socket.settimeout(PATIENCE)
        self.env = {"NOTIFY_SOCKET": name}
        self.heard = []

    def next(self):
        """(pid, {key: value}) of the next message."""
        data, extra, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(12))
        pid = struct.unpack("3i", extra[0][2])[0]
        assert data.endswith(b"\n")
        fields = dict(line.split("=", 1) for line in data.decode().splitlines())
        self.heard.append((pid, fields))
        return self.heard[-1]

    def until(self, key, pattern=""):
        """Up to a message that has the key, with a value that the pattern is in."""
        while True:
            pid, fields = self.next()
            if re.search(pattern, fields.get(key, "\0")) and key in fields:
                return pid, fields

    def rest(self):
        """What has come, and nobody comes any more: all senders have ended."""
        self.socket.setblocking(False)
        try:
            while True:
                self.next()
        except BlockingIOError:
            return [fields for _, fields in self.heard]


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    name = f"{tmp_path}/notify" if request.param == "path" else f"@pawl-test-{os.getpid()}-{tmp_path.name}"
    made = Manager(name)
    yield made
    made.socket.close()


@pytest.fixture(params=["sqlite", "redis"])
def both(request):
    """The same test on both stores."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def told(tmp_path):
    made = Manager(f"{tmp_path}/notify")
    yield made
    made.socket.close()


def fence_of(both, key="k"):
    return both.show(key)["holders"][0]["fence"]


def test_ready_when_it_is_held_and_the_command_runs(both, manager):
    proc = both.start("run", "k", *reporter("TERM"), env=manager.env, stdin=subprocess.PIPE)
    pid, fields = manager.until("READY")
    assert pid == proc.pid and fields["READY"] == "1"
    owner = both.show("k")["holders"][0]["owner"]
    assert fields["STATUS"] == f"holds k, fence {fence_of(both)}, as {owner}"
    assert not [old for _, old in manager.heard[:-1] if "READY" in old]
    command = int(proc.expect("ready").split()[1])
    assert "NOTIFY_SOCKET" not in Path(f"/proc/{command}/environ").read_text()
    proc.say(b"exit 0\n")
    assert proc.wait() == 0
    assert [fields["STOPPING"] for fields in manager.rest() if "STOPPING" in fields] == ["1"]
    assert {pid for pid, _ in manager.heard} == {proc.pid}


def test_a_wait_says_for_whom_and_is_not_ready(both, told):
    holder = both.start("run", "k", *reporter(), stdin=subprocess.PIPE)
    holder.expect("ready")
    fence = fence_of(both)
    proc = both.start("run", "k", *reporter(), env=told.env, stdin=subprocess.PIPE)
    _, fields = told.until("STATUS", "held by")
    assert re.fullmatch(rf"waits for k, held by .* {holder.pid} .*, fence {fence}", fields["STATUS"])
    assert not [fields for _, fields in told.heard if "READY" in fields]
    holder.say(b"exit 0\n")
    told.until("READY")
    assert fence_of(both) > fence
    proc.say(b"exit 0\n")
    assert proc.wait() == 0


def test_a_long_status_is_cut_and_no_more(sqlite, told):
    """At 400 bytes at the most: a service manager would drop what is much longer."""
    assert sqlite.run("run", "k" * 512, "true", env=told.env).code == 0
    texts = {fields["STATUS"] for fields in told.rest()}
    assert {300 < len(text) <= 400 for text in texts} == {True}, texts
    assert {text[:10] for text in texts} >= {"waits for ", "holds kkkk"}


def test_who_does_not_get_it_is_never_ready(sqlite, told):
    holder = sqlite.start("run", "k", *reporter(), stdin=subprocess.PIPE)
    holder.expect("ready")
    assert sqlite.run("run", "-n", "k", "true", env=told.env).code == 75
    assert sqlite.run("run", "other", "/nowhere", env=told.env).code == 127
    assert not [fields for fields in told.rest() if "READY" in fields]


def test_a_command_that_says_so_itself(sqlite, told):
    says = ('import os, socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);'
            's.sendto(b"READY=1\\nSTATUS=mine\\n", os.environ["NOTIFY_SOCKET"])')
    proc = sqlite.start("run", "--pass-notify", "k", "python3", "-c", says, env=told.env)
    assert proc.wait() == 0
    ready = [(pid, fields) for pid, fields in (told.rest(), told.heard)[1] if "READY" in fields]
    assert len(ready) == 1 and ready[0][0] != proc.pid and ready[0][1]["STATUS"] == "mine"
    assert [fields for pid, fields in told.heard if pid == proc.pid and fields["STATUS"].startswith("holds k")]


def test_without_a_fork_the_main_process_says_it(both, told):
    proc = both.start("run", "-F", "k", *reporter(), env=told.env, stdin=subprocess.PIPE)
    pid, fields = told.until("READY")
    assert pid == proc.pid
    proc.expect("ready")
    assert fields["STATUS"].startswith(f"holds k, fence {fence_of(both)}, as ")
    assert "NOTIFY_SOCKET" not in Path(f"/proc/{proc.pid}/environ").read_text()
    proc.say(b"exit 0\n")
    assert proc.wait() == 0
    both.until_free("k")
    assert {pid for pid, _ in (told.rest(), told.heard)[1]} == {proc.pid}


def test_a_loss_stops_the_service_and_says_why(both, told):
    proc = both.start("run", "-t", "2s", "k", *reporter("TERM"), env=told.env, stdin=subprocess.PIPE)
    told.until("READY")
    proc.expect("ready")
    assert both.run("break", "k", "--fence", str(fence_of(both))).code == 0
    _, fields = told.until("STOPPING")
    assert fields["STATUS"].startswith("k is lost") and "broken" in fields["STATUS"]
    proc.expect("TERM")
    proc.say(b"exit 0\n")
    assert proc.wait() == 76
    assert told.rest()[-1]["STATUS"].startswith("k is lost")  # what systemctl shows in the end


def test_a_leader_stops_only_at_the_end(sqlite, told):
    proc = sqlite.start("lead", "k", "--", "sh", "-c", "echo on", env=told.env)
    fences = []
    while len(fences) < 2:
        _, fields = told.until("READY")
        fences.append(int(re.search(r"fence (\d+)", fields["STATUS"]).group(1)))
    assert fences[1] > fences[0]
    told.until("STATUS", "pauses")
    proc.kill(signal.SIGTERM)
    proc.wait()
    rest = told.rest()
    assert not [fields for fields in rest[:-1] if "STOPPING" in fields]


def test_hold_is_ready_too(both, told):
    proc = both.start("hold", "k", env=told.env)
    proc.expect("held")
    pid, fields = told.until("READY")
    assert pid == proc.pid and fields["STATUS"].startswith(f"holds k, fence {fence_of(both)}, as ")
    proc.kill(signal.SIGTERM)
    assert proc.wait() == 0
    assert told.rest()[-1]["STOPPING"] == "1"


def fill(name):
    """Until even a sender that has sent nothing yet finds no room. Returns how many there are."""
    sent, before, fillers = 0, -1, []
    while sent > before:
        before = sent
        fillers.append(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
        fillers[-1].connect(name)
        try:
            while True:
                fillers[-1].send(b"FULL=1\n")
                sent += 1
        except BlockingIOError:
            pass
    for filler in fillers:
        filler.close()
    return sent


def test_a_manager_that_does_not_read_holds_up_nobody_and_hears_it_later(sqlite, told):
    full = fill(told.env["NOTIFY_SOCKET"])
    proc = sqlite.start("run", "k", *reporter(), env=told.env, stdin=subprocess.PIPE)
    proc.expect("ready")  # it was started, though nobody could be told
    for _ in range(full):
        assert "FULL" in told.next()[1]
    pid, fields = told.until("READY")
    assert pid == proc.pid and fields["STATUS"].startswith("holds k")
    proc.say(b"exit 0\n")
    assert proc.wait() == 0


@pytest.mark.parametrize("name", ["nonsense", "@", "/nowhere/notify", "vsock:2:1", "/" + "x" * 200])
def test_a_socket_of_no_use_is_said_and_the_command_runs(sqlite, name):
    done = sqlite.run("run", "k", "sh", "-c", "echo ran $NOTIFY_SOCKET", env={"NOTIFY_SOCKET": name})
    assert done.code == 0 and done.out == "ran\n"
    assert len(done.err.splitlines()) == 1 and "NOTIFY_SOCKET" in done.err


def test_what_others_have_chosen_cannot_forge_a_line(sqlite, told):
    assert sqlite.run("run", "k\nREADY=1\nMAINPID=1", "true", env=told.env).code == 0
    heard = told.rest()
    assert heard and not [fields for fields in heard if "MAINPID" in fields]


# ---- The units --------------------------------------------------------------------------------

def test_systemd_takes_the_units(tmp_path):
    if not shutil.which("systemd-analyze"):
        print("SKIP: systemd-analyze is not installed: the units were not verified")
        pytest.skip("systemd-analyze is not installed: the units were not verified")
    assert len(UNITS) == 4
    paths = []
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8")
        assert unit.suffix == ".timer" or f"/usr/local/bin/{unit.stem}" in text
        # The programs that the unit names need not be here, and its user need not exist.
        text = re.sub(r"^ExecStart=/usr/bin/pawl", f"ExecStart={PAWL}", text, flags=re.M)
        paths.append(tmp_path / unit.name)
        paths[-1].write_text(text, encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *map(str, paths)], text=True, timeout=PATIENCE,
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean_env())
    ours = [line for line in done.stdout.splitlines() if any(str(path.name) in line for path in paths)]
    assert done.returncode == 0 and not ours, done.stdout


def commands_of_units():
    return [(unit.name, re.search(r"^ExecStart=/usr/bin/pawl (.*)$", unit.read_text("utf-8"), re.M).group(1).split())
            for unit in UNITS if unit.suffix == ".service"]


@pytest.mark.parametrize("name, words", commands_of_units(), ids=lambda value: value if isinstance(value, str) else "")
def test_the_command_lines_of_the_units_work(sqlite, told, name, words):
    assert words[-1].startswith("/usr/local/bin/") and words[-2] == "--"
    proc = sqlite.start(*words[:-1], *reporter(), env=told.env, stdin=subprocess.PIPE)
    told.until("READY")
    proc.expect("ready")
    proc.kill(signal.SIGTERM)
    code = proc.wait()
    stops = re.search(r"^SuccessExitStatus=(.*)$", (SOURCE / "contrib/systemd" / name).read_text("utf-8"), re.M).group(1)
    assert str(code) in stops.split()  # systemctl stop is no failure


# Everything is read-only but one directory: what ProtectSystem=strict does, by the same means.
STRICT = """
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=1777 tmpfs "$(realpath /var/lock)"  # what another version left there is not met
mkdir -m 755 "$(realpath /var/lock)/pawl"
mkdir -p "$1"
mount -t tmpfs -o mode=755 tmpfs "$1"
for place in $(awk '{print $5}' /proc/self/mountinfo | sort -ru); do
    case $place in "$1" | /proc* | /sys* | /dev*) ;; *) mount -o remount,bind,ro "$place" 2> /dev/null || true ;; esac
done
if touch /usr/written 2> /dev/null; then rm /usr/written; echo "it is not read-only"; exit 99; fi
shift
exec "$@"
"""


def test_the_default_store_under_a_read_only_system():
    """The directory that nightly.service opens is all that root's default store needs."""
    assert "RuntimeDirectory=lock/pawl\n" in (SOURCE / "contrib/systemd/nightly.service").read_text("utf-8")
    probe = subprocess.run(["unshare", "--mount", "sh", "-c", "mount --make-rprivate /"], check=False, timeout=PATIENCE,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if os.geteuid() != 0 or probe.returncode != 0:
        print("SKIP: no mount namespace may be made: the default store was not tried on a read-only system")
        pytest.skip("no mount namespace may be made: the default store was not tried on a read-only system")
    env = clean_env()
    key = "nightly"
    directory = os.path.realpath("/var/lock") + "/pawl"
    # Without the directory it is refused: the test would not see anything otherwise.
    for opened, wanted in ((directory, 0), ("/run/other", 73)):
        done = subprocess.run(["unshare", "--mount", "sh", "-c", STRICT, "sh", opened, PAWL, "run", "-n", key, "true"],
                              env=env, text=True, timeout=PATIENCE, check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        assert done.returncode == wanted, (opened, done.stdout)
