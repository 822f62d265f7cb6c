# SPDX-License-Identifier: MIT
"""
A user of Redis with the documented ACL can run every script, also its rarest path: what the scripts and the
doctor call is compared with what docs/protocol.md and the tests' own user allow, and with what the probe asks for.
"""
import re

import tree

SCRIPTS = "src/stores/redis/scripts"
CALL = re.compile(r"\bredis\.p?call\(\s*(?:'(\w+)'(?:,\s*'(\w+)')?|(\w+))")
TRY = re.compile(r"\btry\('(\w+)'(?:,\s*'(\w+)')?")
HAVE_SUBCOMMANDS = {"pubsub", "client", "config", "slowlog"}


def rule_of(command, second):
    command = command.lower()
    return f"{command}|{second.lower()}" if command in HAVE_SUBCOMMANDS else command


def scripts():
    return sorted((tree.SOURCE / SCRIPTS).glob("*.lua"))


def lua(path):
    return re.sub(r"--[^\n]*", "", path.read_text(encoding="utf-8"))


def called(path):
    """The commands of one script as rules of an ACL; what the probe tries is called by it."""
    for first, second, variable in CALL.findall(lua(path)):
        assert first or path.name == "probe.lua", f"{path.name} calls {variable}: no test can tell which command that is"
        if first:
            yield rule_of(first, second)
    if path.name == "probe.lua":
        yield from tried()


def tried():
    return {rule_of(*found) for found in TRY.findall(lua(tree.SOURCE / SCRIPTS / "probe.lua"))}


def allowed(text):
    return set(re.findall(r"\+([\w|]+)", text))


def documented():
    rules = re.findall(r"```text acl\n(.*?)```", tree.read("docs/protocol.md"), re.S)
    return [allowed(rule) for rule in rules]


def users_of_tests():
    text = tree.read("proof/tests/redis/link_stage.h")
    return allowed(re.search(r"#define MINIMAL_ACL(.*?[^\\])\n", text, re.S).group(1))


def test_the_documented_user_may_call_what_the_scripts_call():
    locks, _ = documented()
    tree.none([f"{path.name}: +{rule} is missing in docs/protocol.md"
               for path in scripts() for rule in sorted(set(called(path)) - locks)])


def test_who_may_only_look_may_call_what_looking_calls():
    _, looks = documented()
    seen = set(called(tree.SOURCE / SCRIPTS / "inspect.lua")) | {"hmget"}  # of read.lua without a watch
    assert len(seen) > 5
    tree.none(sorted(seen - looks))


def test_the_probe_asks_for_what_the_scripts_call():
    """Else a right that is missing is found half-way. The guard finds out for itself, and is done without."""
    others = [path for path in scripts() if path.name not in ("probe.lua", "guard.lua")]
    assert {rule for path in others for rule in called(path)} == tried()


def test_the_user_of_the_tests_is_the_documented_one():
    """But for what is documented as done without."""
    locks, _ = documented()
    assert locks - users_of_tests() == {"info", "client|tracking", "client|caching", "cluster|info", "config|get", "slowlog|get"}
    assert not users_of_tests() - locks


def test_the_doctor_names_rules_that_are_documented():
    locks, _ = documented()
    text = tree.read("src/stores/redis/redis_findings.c")
    named = allowed(re.search(r"pawl__redis_askings\[.*?\] = \{(.*?)\n\};", text, re.S).group(1))
    assert len(named) > 5
    tree.none(sorted(named - locks))
