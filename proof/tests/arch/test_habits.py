# SPDX-License-Identifier: MIT
"""Rules of the tree that a script can see."""
import json
import os
import re
import statistics

import tree

CODE = ["src", "include", "proof", "contrib", "examples", "bindings"]
LINES_MAX = 700

CLOCKS = ["clock_gettime", "clock_getres", "gettimeofday", "time", "ftime", "timespec_get",
          "clock", "evutil_gettimeofday", "event_base_gettimeofday_cached"]
MAY_READ_A_CLOCK = re.compile(
    r"src/runtime/clock\.c|src/stores/(sqlite/sqlite|memory/memory|redis/redis|postgres/postgres|mariadb/mariadb|memcached/memcached|etcd/etcd|zookeeper/zookeeper)_clock\.c"
    r"|src/cli/.*|proof/sim/.*|proof/torture/.*")

# Unbounded writes, unchecked numbers, hidden state.
BANNED = ["strcpy", "strcat", "sprintf", "vsprintf", "gets", "tmpnam", "mktemp", "tempnam",
          "strtok", "alloca", "atoi", "atol", "atof", "rand", "srand", "gmtime", "localtime",
          "ctime", "asctime", "usleep"]
# A library neither prints, nor ends the process, nor starts others, nor sleeps, nor draws from
# a generator that the program shares.
BANNED_IN_LIBRARY = ["system", "popen", "exit", "_exit", "quick_exit", "printf", "puts", "putchar", "perror",
                     "vprintf", "sleep", "nanosleep", "clock_nanosleep",
                     "signal", "sigaction", "setlocale", "putenv", "setenv", "random", "srandom"]
# libmariadb ignores SIGPIPE for the whole program when it is initialized; that is undone.
KEEPS_SIGPIPE = re.compile(r"src/stores/mariadb/mariadb_connect\.c:\d+: sigaction")
# The worker of a store may sleep: it is nobody's loop.
MAY_SLEEP = re.compile(r"src/stores/sqlite/sqlite_(db|worker)\.c:\d+: nanosleep")


def library():
    return [p for p in tree.files("src") if not str(p).startswith("src/cli/")]


def found(paths, names):
    return [f"{path}:{line}: {name}" for path in paths for line, name in tree.calls(path, names)]


def test_clocks_are_read_in_few_places():
    paths = [p for p in tree.files("src", "contrib", "proof/sim", "proof/torture") if not MAY_READ_A_CLOCK.fullmatch(str(p))]
    tree.none(found(paths, CLOCKS))


def test_banned_calls():
    tree.none(found(tree.files("src", "contrib", "proof/sim", "proof/torture"), BANNED))


def test_a_library_prints_nothing():
    streams = re.compile(r"\b(stderr|stdout)\b")
    tree.none([f"{path}:{number}" for path in library()
               for number, line in enumerate(tree.code(path).splitlines(), 1)
               if streams.search(line)])


def test_banned_calls_of_a_library():
    tree.none([f for f in found(library(), BANNED_IN_LIBRARY) if not MAY_SLEEP.fullmatch(f) and not KEEPS_SIGPIPE.fullmatch(f)])


# Fixed texts, pictures, files, and what a shell evals byte for byte. Everything else that the
# command prints goes through terminal.c, so that nobody can forget to escape it.
PRINTS = ["printf", "puts", "putchar", "fputs", "fputc", "putc", "fwrite", "vprintf", "fprintf",
          "vfprintf", "dprintf", "json_dumpf", "perror"]
MAY_PRINT = re.compile(r"src/cli/(terminal|command|help|options|main|flock|fence_file|complete)\.c:.*"
                       r"|src/cli/cmd_(acquire|schema|completion)\.c:.*")


def test_the_command_prints_through_one_place():
    tree.none([f for f in found(tree.files("src/cli"), PRINTS) if not MAY_PRINT.fullmatch(f)])


def test_what_is_hidden_is_the_same_everywhere():
    """The layers may not share the table; they share what it says."""
    tables = {}
    for path in ("src/base/line.c", "contrib/beego/config/text.c", "src/cli/terminal.c"):
        table = re.search(r"hidden\[\] = \{(.*?)\};", tree.code(tree.SOURCE / path), re.S).group(1)
        tables[path] = re.findall(r"0x(\w+), 0x(\w+)", table)[1:]  # from 7f on
    assert len(tables["src/base/line.c"]) > 10
    assert len({tuple(table) for table in tables.values()}) == 1, tables


def test_nothing_is_left_for_later():
    words = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    tops = CODE + ["scripts", "man", "docs", "bindings"]
    suffixes = (".c", ".h", ".py", ".sh", ".lua", ".md", ".1", ".3", ".7", ".build", "")
    wrong = [f"{path}:{number}" for path in tree.files(*tops, suffixes=suffixes)
             if path.name != "test_habits.py"
             for number, line in enumerate(tree.read(path).splitlines(), 1) if words.search(line)]
    tree.none(wrong)


def test_files_have_one_topic_and_so_an_end():
    sizes = {str(p): tree.read(p).count("\n")
             for p in tree.files(*CODE, suffixes=(".c", ".h", ".py", ".lua"))}
    tree.none([f"{path}: {size} lines" for path, size in sizes.items() if size > LINES_MAX])


def lengths_of_functions(*tops):
    """(file, line, lines between the braces) of each function in C."""
    for path in tree.files(*tops, suffixes=(".c",)):
        begin = None
        for number, line in enumerate(tree.read(path).splitlines(), 1):
            if line == "{":
                begin = number
            elif line == "}" and begin:
                yield path, begin, number - begin - 1
                begin = None


def test_functions_fit_a_screen():
    for top in ("src", "proof", "contrib", "examples"):
        found = list(lengths_of_functions(top))
        tree.none([f"{path}:{line}: a function of {lines} lines" for path, line, lines in found
                   if lines > 80])
        assert statistics.median(lines for *_, lines in found) <= 10


def test_every_file_names_its_licence():
    wrong = [str(path) for path in tree.files(*CODE, "scripts",
                                              suffixes=(".c", ".h", ".py", ".lua", ".build"))
             if "SPDX-License-Identifier: MIT" not in "\n".join(tree.read(path).splitlines()[:3])]
    tree.none(wrong)


def test_tests_wait_for_events():
    """No sleep as a means of synchronisation; ttls pass in the loop of the test's host."""
    names = ["sleep", "usleep", "nanosleep", "clock_nanosleep"]
    stand_ins = ("failing.c", "slow.c")  # for the system's call, or for a slow disk
    files = [path for path in tree.files("proof/tests") if path.name not in stand_ins]
    tree.none(found(files, names))


def test_who_skips_says_why():
    """skip_case() of the tests' support takes the reason; scripts/test fails a skip without one."""
    files = [path for path in tree.files("proof/tests", suffixes=(".c",)) if path.name != "check.c"]
    tree.none(found(files, ["skip"]))


def test_header_guards_are_their_own():
    guards = {}
    for path in tree.files("src", "include", "contrib", "proof/tests", "proof/sim", "proof/torture", suffixes=(".h",)):
        guard = re.search(r"^#ifndef (\w+)\n#define \1$", tree.read(path), re.M)
        assert guard, f"{path} has no guard"
        assert guard.group(1) not in guards, f"{path} and {guards[guard.group(1)]}"
        guards[guard.group(1)] = path


def test_every_source_is_built():
    """A file that no meson.build names would be dead, or a test that never runs."""
    commands = json.loads((tree.BUILD / "compile_commands.json").read_text())
    built = {os.path.realpath(os.path.join(c["directory"], c["file"])) for c in commands}
    tree.none([path for path in tree.files("src", "contrib", "proof/tests", "proof/sim", "proof/torture", "examples/demo", suffixes=(".c",))
               if str((tree.SOURCE / path).resolve()) not in built])


def test_every_pytest_file_is_run():
    listed = json.loads(tree.run("meson", "introspect", "--tests"))
    run = {os.path.realpath(os.path.join(tree.BUILD, word)) for t in listed for word in t["cmd"]}
    tree.none([path for path in tree.files("proof/tests", suffixes=(".py",))
               if path.name.startswith("test_") and str((tree.SOURCE / path).resolve()) not in run])
