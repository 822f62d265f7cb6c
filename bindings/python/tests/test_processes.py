# SPDX-License-Identifier: MIT
"""Signals, forks, deaths and ends of processes."""
import signal
import threading

import pytest

import pawl
from conftest import PATIENCE, until

WAITER = """
import pawl, signal, sys, threading
client = pawl.Client(sys.argv[1])
lock = client.lock("x", timeout=None if sys.argv[2] == "forever" else 600)
signal.signal(signal.SIGUSR1, lambda *_: print("heard", flush=True))
try:
    print("ready", flush=True)
    with lock:
        print("held", flush=True)
except KeyboardInterrupt:
    while client.inspect("x").waiters:
        pass
    print("interrupted", flush=True)
    sys.stdin.readline()
    with lock:
        print("held", flush=True)
"""


@pytest.mark.parametrize("wait", ["forever", "600"])
def test_ctrl_c_ends_a_wait(url, client, program, wait):
    with client.lock("x"):
        waiter = program(WAITER, url, wait)
        assert waiter.line() == "ready"
        until(lambda: client.inspect("x").waiters == 1)
        waiter.signal(signal.SIGINT)
        assert waiter.line() == "interrupted"  # and its place is free
        waiter.go_on()
    assert waiter.line() == "held"
    assert waiter.end() == (0, "", "")


def test_a_signal_that_raises_nothing_keeps_the_place(url, client, program):
    with client.lock("x"):
        waiter = program(WAITER, url, "forever")
        assert waiter.line() == "ready"
        until(lambda: client.inspect("x").waiters == 1)
        for _ in range(3):
            waiter.signal(signal.SIGUSR1)
            assert waiter.line() == "heard"
        assert client.inspect("x").waiters == 1
    assert waiter.line() == "held"
    assert waiter.end() == (0, "", "")


FROZEN = """
import pawl, sys
client = pawl.Client(sys.argv[1], store_timeout=None)
held = client.lock("y")
held.acquire()
print("ready", flush=True)
sys.stdin.readline()
try:
    print("asking", flush=True)
    {"wait": lambda: client.lock("x").acquire(), "try": lambda: client.lock("x").acquire(False),
     "ask": client.list, "release": lambda: held.release(wait=600)}[sys.argv[2]]()
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("call", ["wait", "try", "ask", "release"])
def test_ctrl_c_ends_a_wait_for_a_silent_store(redis_server, program, call):
    waiter = program(FROZEN, redis_server.url, call)
    assert waiter.line() == "ready"
    redis_server.process.send_signal(signal.SIGSTOP)
    waiter.go_on()
    assert waiter.line() == "asking"
    until(waiter.sleeps)  # in the call
    waiter.signal(signal.SIGINT)
    assert waiter.line(within=5) == "interrupted"  # the link would be given up after ten seconds
    redis_server.process.send_signal(signal.SIGCONT)
    waiter.go_on()
    assert waiter.end() == (0, "", "")


def test_ctrl_c_while_threads_share_a_lock(url, program):
    waiter = program("""
import pawl, sys, threading
client = pawl.Client(sys.argv[1])
lock = client.lock("x")
thread = threading.Thread(target=lock.acquire)
thread.start()
thread.join()
try:
    print("ready", flush=True)
    lock.acquire()
except KeyboardInterrupt:
    lock.release()
    with lock:
        print("held", flush=True)
""", url)
    assert waiter.line() == "ready"
    waiter.signal(signal.SIGINT)
    assert waiter.line() == "held"
    assert waiter.end() == (0, "", "")


FORK = """
import os, pawl, sys
client = pawl.Client(sys.argv[1])
parent = client.lock("x", ttl=30)
parent.acquire()
child = os.fork()
if not child:
    assert not parent.held and not parent.owned() and parent.remaining == 0
    for call in (parent.check, parent.release, parent.detach):
        try:
            call()
            print("believed", flush=True)
        except pawl.Forked as error:
            assert isinstance(error, pawl.Lost)
    assert parent.acquire(False) is False           # the parent has it
    with client.lock("y") as own:                   # opened anew by itself
        assert own.fence and client.inspect("x").held
    print("child", flush=True)
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
parent.check()                                      # nobody has released it
parent.release()
with parent, client.lock("y"):
    print("parent", flush=True)
"""


def test_a_child_of_fork_holds_nothing(url, program):
    forker = program(FORK, url, options=["-W", "ignore::DeprecationWarning"])
    assert forker.line() == "child"
    assert forker.line() == "parent"
    assert forker.end() == (0, "", "")


def test_a_child_that_leaves_its_parents_block_is_told(url, program):
    forker = program("""
import os, pawl, sys
client = pawl.Client(sys.argv[1])
try:
    with client.lock("x") as held:
        child = os.fork()
        if child:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            held.check()
            print("parent", flush=True)
except pawl.Forked:
    assert not child
    sys.exit(7)
""", url, options=["-W", "ignore::DeprecationWarning"])
    assert forker.line() == "parent"
    assert forker.end() == (0, "", "")


PREFORK = """
import multiprocessing, pawl, sys, threading
client = pawl.Client(sys.argv[1], log=lambda *_: None)  # with a thread, as an application has
counter = multiprocessing.Value("i", 0, lock=False)
shared = client.lock("x")

def work(_):
    for _ in range(5):
        with shared:
            now = counter.value
            with client.lock("inner"):
                pass
            counter.value = now + 1
    return shared.fence

def wait():
    try:
        with client.lock("x"):
            pass
    except pawl.Closed:
        pass

if __name__ == "__main__":
    with shared:
        waiter = threading.Thread(target=wait)  # a child comes while another thread is inside
        waiter.start()
        context = multiprocessing.get_context("fork")
        pool = context.Pool(4)
    fences = pool.map(work, range(8), chunksize=1)
    pool.close()
    pool.join()
    waiter.join()
    client.close()
    print(counter.value, len(set(fences)) > 1, flush=True)
"""


def test_workers_that_were_forked_exclude_each_other(url, program):
    """As multiprocessing, gunicorn and Celery do: the client was made, and used, before the fork."""
    pool = program(PREFORK, url, options=["-W", "ignore"])
    assert pool.line() == "40 True"
    assert pool.end() == (0, "", "")


def test_a_process_of_multiprocessing_leaves_nothing(url, client, program):
    """It ends by _exit(), which runs no handlers."""
    parent = program("""
import multiprocessing, pawl, sys
client = pawl.Client(sys.argv[1])

def work():
    global kept
    kept = client.lock("x", ttl=3600)
    kept.acquire()

if __name__ == "__main__":
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
    print(child.exitcode, flush=True)
    sys.stdin.readline()
""", url, options=["-W", "ignore"])
    assert parent.line() == "0"
    with client.lock("x", timeout=PATIENCE):
        pass
    parent.go_on()
    assert parent.end() == (0, "", "")


HOLDER = """
import pawl, sys
client = pawl.Client(sys.argv[1])
with client.lock("x", ttl=float(sys.argv[2])) as held:
    print(held.fence, flush=True)
    sys.stdin.readline()
"""


def test_a_holder_is_killed(url, client, program):
    is_instant = url.startswith("sqlite")
    holder = program(HOLDER, url, "3600" if is_instant else "1")
    fence = int(holder.line())
    holder.signal(signal.SIGKILL)
    with client.lock("x", timeout=PATIENCE) as held:
        assert held.fence > fence


def test_a_holder_that_was_stopped_finds_out(url, client, program):
    holder = program(HOLDER, url, "0.3")
    holder.line()
    holder.signal(signal.SIGSTOP)
    with client.lock("x", timeout=PATIENCE):
        holder.signal(signal.SIGCONT)
        holder.go_on()
        status, out, err = holder.end()
        assert status == 1 and "pawl.Lost" in err.replace("_errors.", "")


END = """
import pawl, pawl.aio, sys, threading
client = pawl.Client(sys.argv[1], log=lambda *_: None)
lock = client.lock("x", ttl=3600, on_event=lambda event: None)
lock.acquire()

def wait():  # the exit closes the client, and this thread may still be told so
    try:
        client.lock("x").acquire()
    except pawl.Error:
        pass

for _ in range(3):
    threading.Thread(target=wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.readline()
if sys.argv[2] == "raise":
    raise RuntimeError("on purpose")
if sys.argv[2] == "exit":
    sys.exit(3)
"""


@pytest.mark.parametrize("way, status", [("return", 0), ("exit", 3), ("raise", 1)])
def test_an_interpreter_ends_with_open_clients(url, client, program, way, status):
    ending = program(END, url, way)
    assert ending.line() == "ready"
    assert client.inspect("x").held
    ending.go_on()
    with client.lock("x", timeout=PATIENCE):  # released, although the ttl is an hour
        pass
    code, out, err = ending.end()
    assert (code, out) == (status, "")
    assert (err.splitlines() or [""])[-1] == ("RuntimeError: on purpose" if way == "raise" else "")
    assert err.count("Traceback") == (way == "raise")


CYCLES = """
import gc, pawl, sys
client = pawl.Client(sys.argv[1])

def inside(release):
    try:
        yield
    finally:
        release()

def drop(*things):
    cycle = [*things]
    cycle.append(cycle)

for _ in range(50):
    lock = client.lock("x", timeout=60)  # older than what releases it: it is finalized first
    lock.acquire()
    block = inside(lock.release)
    next(block)
    drop(lock, block)
    del lock, block
    gc.collect()
    election = client.election("e", timeout=60)
    election.campaign()
    block = inside(election.resign)
    next(block)
    drop(election, block)
    del election, block
    gc.collect()
    used = client.lock("y")
    with used:
        pass
    drop(used)
    del used
    gc.collect()
    with client.lock("y") as again:  # not by the handle that has gone
        assert again.held
print("whole", flush=True)
"""


def test_what_goes_in_a_cycle_is_whole_until_all_has_gone(url, program):
    """An error, its traceback and the frames in it are one; their blocks release by what goes with them."""
    going = program(CYCLES, url, options=["-W", "ignore"])
    assert going.line() == "whole"
    assert going.end() == (0, "", "")


LATE = """
import pawl, sys
client = pawl.Client(sys.argv[1])

class Late:
    def __del__(self, say=sys.stdout.write, call=CALL):
        try:
            say(repr(call()))
        except pawl.Closed:
            say("closed")

kept = Late()  # goes with the modules, when everything else of the interpreter has ended
"""
LATE_CALLS = {
    "ask": "client.list", "leader": "lambda leader=client.leader: leader('e')",
    "look": "client.once('o', 60).look", "left": "client.latch('l', 1).left",
    "observe": "lambda observe=client.observe: observe('e', id)",
    "hear": "lambda lock=client.lock: lock('x', on_event=id).acquire()",
    "acquire": "client.lock('x').acquire", "wait": "client.barrier('b', 2).wait",
    "open": "lambda make=pawl.Client, log=id: make('memory:', log=log)",
}


@pytest.mark.parametrize("call", LATE_CALLS)
def test_the_very_end_of_the_interpreter_waits_for_nothing(url, program, call):
    """What the traceback of an error keeps alive, and calls pawl when it goes, must not hang there."""
    ending = program(LATE.replace("CALL", LATE_CALLS[call]), url, options=["-W", "ignore"])
    assert ending.end()[:2] == (0, "closed")


def test_a_wait_lets_other_threads_run(client, other):
    """A thread that waits does not have the GIL."""
    with other.lock("x"):
        wanted = client.lock("x")
        waiter = threading.Thread(target=wanted.acquire)
        waiter.start()
        until(lambda: other.inspect("x").waiters == 1)
        assert sum(range(100000)) > 0 and waiter.is_alive()
    waiter.join()
    wanted.release()


LEAKS = """
import ctypes, gc, os, pawl, resource, sys, tracemalloc
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
                 "fordblks", "keepcost")]
mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Info

def one_round(client, other):
    with client.lock("x", ttl=5, on_event=lambda event: None, owner="me") as held:
        held.check()
        for foe in (other.lock("x", blocking=False), other.lock("x", timeout=0.001)):
            try:
                foe.__enter__()
            except pawl.Busy:
                pass
    lock = client.lock("y")
    lock.acquire()
    lock.release(wait=5)
    client.inspect("y"); client.list()

def used():
    gc.collect()
    return mallinfo2().uordblks

def descriptors():
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

def rounds(count):
    with pawl.Client(sys.argv[1]) as client, pawl.Client(sys.argv[1]) as other:
        grown = []
        for _ in range(4):  # what is kept for later grows once, a leak grows always
            before = used()
            for _ in range(count):
                one_round(client, other)
            grown.append((used() - before) / count)
        return min(grown)

rounds(20)
before = descriptors()
grown = rounds(100)
for _ in range(20):
    pawl.Client(sys.argv[1]).close()
    try:
        pawl.Client("nowhere://")
    except pawl.Error:
        pass
print(int(grown), [max(0, a - b) for a, b in zip(descriptors(), before)], flush=True)
"""


def test_nothing_leaks(url, program, monkeypatch):
    """Neither memory of C's, nor descriptors, nor threads. A round that leaks a handle grows by
    hundreds of bytes."""
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1")
    monkeypatch.setenv("PYTHONMALLOC", "malloc")
    leaking = program(LEAKS, url)
    grown, rest = leaking.line().split(" ", 1)
    assert int(grown) < 64 and rest == "[0, 0]"
    assert leaking.end() == (0, "", "")
