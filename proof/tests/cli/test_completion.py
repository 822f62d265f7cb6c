# SPDX-License-Identifier: MIT
"""Completion: what pawl says may stand at a place, and what real shells make of it."""
import contextlib
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import pytest

from harness import BUILD, PATIENCE, PAWL, clean_env


def said(*words):
    done = subprocess.run([PAWL, "complete", "--", *words], env=clean_env(), text=True, check=False,
                          timeout=PATIENCE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def offered(*words):
    return [line.split("\t")[0] for line in said(*words)]


def helped(*words):
    return subprocess.run([PAWL, "help", *words], env=clean_env(), text=True, check=True, timeout=PATIENCE,
                          stdout=subprocess.PIPE).stdout


# ---- What pawl says ------------------------------------------------------------------------

def test_every_command_is_offered_with_its_summary():
    listed = re.findall(r"^  (\w+) +(.*)$", helped().split("\n\nOptions")[0], re.M)
    assert len(listed) > 20
    assert said("") == [f"{verb}\t{summary}" for verb, summary in listed]
    assert offered("ru") == ["run"]
    assert offered("help", "bar") == ["barrier"]
    assert offered("nonsense", "") == []


def verbs():
    """Those whose options are in our tables."""
    return [verb for verb in offered("") if verb not in ("help", "version", "torture")]


@pytest.mark.parametrize("verb", verbs())
def test_every_option_of_help_is_offered_and_no_other(verb):
    page = helped(verb)
    if verb in ("bench", "top", "serve"):
        if not (BUILD / f"pawl-{verb}").exists():
            pytest.skip(f"pawl-{verb} was not built")
        page = subprocess.run([PAWL, verb, "--help"], env=clean_env(), text=True, check=True, timeout=PATIENCE,
                              stdout=subprocess.PIPE).stdout
    shown = set()
    for line in page.splitlines():
        left = re.match(r"^ {2,6}(-\S.*?)(?: {2,}|$)", line)
        if left:
            shown |= set(re.findall(r"(?:^|[ ,])(--?[A-Za-z][\w-]*)", left.group(1)))
    assert len(shown) > 5 and "--store" in shown
    asked = offered(verb, "-")
    assert sorted(asked) == sorted(shown)
    assert len(asked) == len(set(asked))


def help_of_ttl():
    """A line of the help page, as completion shows it."""
    return "--ttl\t" + re.search(r"(?m)^  -t, --ttl D +(.*)$", helped("run")).group(1)


def test_help_stands_behind_a_tab():
    assert help_of_ttl() in said("run", "--t")


@pytest.mark.parametrize("words, wanted", [
    (["run", "--on-lost", ""], ["term", "kill", "notify", "ignore"]),
    (["run", "--on-lost", "no"], ["notify"]),
    (["run", "--on-lost=k"], ["--on-lost=kill"]),
    (["run", "-n", "--on-lost", "t"], ["term"]),
    (["lead", "k", "--restart", "on"], ["on-failure"]),
    (["--store-timeout", "f"], ["forever"]),
    (["run", "--store-timeout=f"], ["--store-timeout=forever"]),
    (["run", "--yield", "USR"], ["USR1", "USR2"]),
    (["run", "--require", "fence,du"], ["fence,durable-fence"]),
    (["run", "--require=fence,du"], ["--require=fence,durable-fence"]),
    (["schema", ""], ["postgres", "mariadb"]),
    (["completion", "z"], ["zsh"]),
    (["completion", "zsh", ""], []),
    (["run", "--fence-file", "/tm"], [":files"]),
    (["--config", ""], [":files"]),
    (["run", "--fence-file="], [":files"]),
    (["run", "--no-to"], ["--no-token"]),
    (["run", "-w", ""], []),         # a duration
    (["run", "-w5", "--no-f"], ["--no-fork"]),
    (["run", "-nw", "--no-f"], []),  # the duration of -w
    (["run", ""], []),               # a KEY
    (["run", "-S", "sqlite:", ""], []),
    (["-S", "sqlite:", "ru"], ["run"]),
    (["--store=sqlite:", "ru"], ["run"]),
    (["-q", "--", "ru"], ["run"]),
    (["show", "--", "-"], []),
    (["run", "k", ""], [":command 3"]),
    (["run", "k", "-"], [":command 3"]),
    (["run", "k", "--", "l"], [":command 4"]),
    (["run", "k", "--", "ls", "-l"], [":command 4"]),
    (["-q", "run", "-t", "5s", "k", "tar", "--c"], [":command 6"]),
    (["run", "-k", "a", "-k", "b", "t"], [":command 6"]),
    (["run", "-ka", "--", "t"], [":command 4"]),
    (["run", "--", "k", "t"], [":command 4"]),
    (["once", "k", "--ev"], ["--every"]),
    (["once", "k", "--every", "1h", "--", "-"], [":command 6"]),
    (["once", "k", "--every", "1h", "rep"], [":command 5"]),
    (["run", "--unl"], []),          # refused
], ids=lambda value: " ".join(value) if isinstance(value, list) else value)
def test_what_may_stand_there(words, wanted):
    assert offered(*words) == wanted


def test_no_word_is_an_error():
    done = subprocess.run([PAWL, "complete"], env=clean_env(), text=True, check=False, timeout=PATIENCE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 64 and len(done.stderr.splitlines()) == 1 and not done.stdout


# ---- What real shells make of it ---------------------------------------------------------------

def script(shell):
    return subprocess.run([PAWL, "completion", shell], env=clean_env(), check=True, text=True, timeout=PATIENCE,
                          stdout=subprocess.PIPE).stdout


def need(shell):
    if not shutil.which(shell):
        print(f"SKIP: {shell} is not installed: its completion was not tried")
        pytest.skip(f"{shell} is not installed: its completion was not tried")


class Terminal:
    """A shell on a terminal, to which one types."""

    def __init__(self, argv, tmp):
        env = clean_env({"TERM": "dumb", "HOME": str(tmp), "ZDOTDIR": str(tmp),
                         "PATH": f"{BUILD.resolve()}:{os.environ['PATH']}"})
        env.pop("INPUTRC", None)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(tmp)
            os.execvpe(argv[0], argv, env)
        self.seen = ""

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def until(self, pattern):
        """Waits until the screen has it, and forgets what came before its end."""
        end = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.seen, re.S)):
            left = end - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], f"no {pattern!r} in {self.seen!r}"
            self.seen += os.read(self.fd, 65536).decode(errors="replace")
        self.seen = self.seen[found.end():]
        return found

    def completed(self, typed, wanted):
        """TAB after `typed` makes `wanted` of it: the command, echo in its place, says its words."""
        self.type(f"\x15{typed}\t\x01echo 'got: ' \x05 :end\n")
        assert self.until(r"got:  ([^\n]*?) ?:end\r?\n").group(1).split() == wanted.split(), typed

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


@contextlib.contextmanager
def terminal(argv, tmp):
    shell = Terminal(argv, tmp)
    try:
        yield shell
    finally:
        shell.close()


# What is typed, and what TAB makes of it; in every shell the same.
TYPED = [
    ("pawl ru", "pawl run"),
    ("pawl run --no-t", "pawl run --no-token"),
    ("pawl run --on-lost no", "pawl run --on-lost notify"),
    ("pawl run --on-lost=no", "pawl run --on-lost=notify"),
    ("pawl -q -S sqlite:x.db ru", "pawl -q -S sqlite:x.db run"),
    ("pawl -q --store=sqlite:x.db ru", "pawl -q --store=sqlite:x.db run"),
    ("pawl run --require fence,du", "pawl run --require fence,durable-fence"),
    ("pawl run --fence-file only-o", "pawl run --fence-file only-one"),
    ("pawl run 'a key' -- cat only-o", "pawl run a key -- cat only-one"),
    ("pawl run -n k pawl-fl", "pawl run -n k pawl-flock"),
    ("pawl run -n k -- pawl-fl", "pawl run -n k -- pawl-flock"),
    ("pawl top --int", "pawl top --interval"),
]


def typed():
    return [pair for pair in TYPED if "top" not in pair[0] or (BUILD / "pawl-top").exists()]


PACKAGE = "/usr/share/bash-completion/bash_completion"


@pytest.mark.parametrize("package", ["/dev/null", PACKAGE], ids=["alone", "bash-completion"])
def test_bash(tmp_path, package):
    need("bash")
    if not os.path.exists(package):
        print("SKIP: bash-completion is not installed: our script was not tried beside it")
        pytest.skip("bash-completion is not installed: our script was not tried beside it")
    (tmp_path / "only-one").touch()
    (tmp_path / "script").write_text(script("bash"))
    of_the_command = [("pawl run k -- pawl run --no-t", "pawl run k -- pawl run --no-token")]
    with terminal(["bash", "--noprofile", "--norc", "-i"], tmp_path) as shell:
        shell.type(f"bind 'set enable-bracketed-paste off'; source {package}; source ./script; echo rea''dy\n")
        shell.until("ready\r?\n")
        for keys, wanted in typed() + (of_the_command if package == PACKAGE else []):
            shell.completed(keys, wanted)


def test_zsh(tmp_path):
    need("zsh")
    (tmp_path / "only-one").touch()
    (tmp_path / "script").write_text(script("zsh"))
    with terminal(["zsh", "-f", "-i"], tmp_path) as shell:
        shell.type("unsetopt zle_bracketed_paste; unset zle_bracketed_paste; bindkey -e; autoload -Uz compinit; "
                   "compinit -u -D; source ./script; echo rea''dy\n")
        shell.until("ready\r?\n")
        for keys, wanted in typed():
            shell.completed(keys, wanted)


def test_zsh_shows_the_help(tmp_path):
    need("zsh")
    (tmp_path / "script").write_text(script("zsh"))
    with terminal(["zsh", "-f", "-i"], tmp_path) as shell:
        shell.type("bindkey -e; autoload -Uz compinit; compinit -u -D; source ./script; echo rea''dy\n")
        shell.until("ready\r?\n")
        shell.type("pawl run --lost-\t\t")
        shell.until("--lost-exit-code")
        shell.type("\x15pawl l\t\t")
        shell.until(r"ls +-- ")


def test_fish(tmp_path):
    """fish says what TAB would offer, so it needs no terminal."""
    need("fish")
    (tmp_path / "only-one").touch()
    (tmp_path / "script").write_text(script("fish"))
    env = clean_env({"HOME": str(tmp_path), "PATH": f"{BUILD.resolve()}:{os.environ['PATH']}"})

    def completed(line):
        done = subprocess.run(["fish", "--no-config", "-c", "source ./script; complete -C $argv[1]", line], env=env,
                              cwd=tmp_path, text=True, check=True, timeout=PATIENCE, stdout=subprocess.PIPE)
        return done.stdout.splitlines()

    for line, wanted in typed():
        last = wanted.split()[-1]
        assert [found.split("\t")[0] for found in completed(line)] == [last], line
    assert "run\trun a command under a lock" in completed("pawl r")
    assert help_of_ttl() in completed("pawl run --tt")


def test_the_installed_scripts_are_those():
    source = os.environ["PAWL_SOURCE"]
    for shell, name in (("bash", "pawl.bash"), ("zsh", "_pawl"), ("fish", "pawl.fish")):
        with open(os.path.join(source, "src/cli/completion", name), encoding="ascii") as file:
            assert script(shell) == file.read()
