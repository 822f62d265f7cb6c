# SPDX-License-Identifier: MIT
"""The store by a Beego application's app.conf: --config and $PAWL_CONFIG."""
import pytest

from test_command_line import one_line


def no_store(extra=None):
    """Rig.env sets PAWL_STORE; an empty one counts as none."""
    return {"PAWL_STORE": "", **(extra or {})}


@pytest.fixture
def conf(redis, tmp_path):
    path = tmp_path / "app.conf"
    path.write_text("appname = x\n[cache]\nadapter = redis\nkey = app\n"
                    f"conn = {redis.server.socket}\npawlowner = counter-1\n")
    return path


def test_the_application_and_the_command_share_locks(redis, conf):
    held = redis.start("hold", "--config", conf, "k", env=no_store(), stdin=-1)
    held.expect("held ")
    assert redis.server.cli("EXISTS", "app:k") == "1"
    shown = redis.run("show", "--config", conf, "k", env=no_store())
    assert shown.code == 0 and "counter-1" in shown.out
    busy = redis.run("run", "-n", "--config", conf, "k", "true", env=no_store())
    assert busy.code == 75


def test_the_environment_names_it_too(redis, conf):
    done = redis.run("run", "k", "sh", "-c", "echo $PAWL_STORE; echo $PAWL_OWNER",
                     env=no_store({"PAWL_CONFIG": str(conf)}))
    assert done.out == f"redis+unix://{redis.server.socket}?prefix=app%3A\ncounter-1\n"


def test_what_comes_first(redis, conf):
    config = {"PAWL_CONFIG": "/nonexistent/app.conf"}
    assert redis.run("run", "k", "true", env=config).code == 0  # PAWL_STORE
    assert redis.run("run", "-S", redis.url, "k", "true", env=no_store(config)).code == 0
    assert redis.run("run", "--config", conf, "k", "true", env=config).code == 0
    mine = redis.run("run", "--config", conf, "--owner", "me", "k", "sh", "-c", "echo $PAWL_OWNER")
    assert mine.out == "me\n"


def test_two_stores_are_one_too_many(redis, conf):
    done = redis.run("run", "-S", redis.url, "--config", conf, "k", "true")
    assert "-S and --config" in one_line(done, 64)


def test_trouble_names_the_line(sqlite, tmp_path):
    path = tmp_path / "app.conf"
    for text, words in (("adapter = memory\nrubbish\n", "app.conf:2: expected key = value"),
                        ("adapter = leveldb\n", "app.conf:1: adapter leveldb: "),
                        ("conn = h:1\ndbnum = x\n", "app.conf:2: dbnum: expected"),
                        ("appname = x\n", "app.conf: chooses no store"),
                        ("a = b\npawlstore = redis://h:port\n", "app.conf:2: a port that is no number"),
                        ("[cache]\npawlstore = nosuch://h\n", "app.conf:2: no store has the scheme"),
                        ("pawlstore = sqlite:\n[cache]\npawlowner = " + 256 * "x" + "\n",
                         "app.conf: pawlowner: an owner label has at most 255 bytes")):
        path.write_text(text)
        done = sqlite.run("run", "--config", path, "k", "true")
        assert words in one_line(done, done.code) and done.code in (64, 78)
    assert "No such file" in one_line(sqlite.run("ls", "--config", "/nonexistent/a.conf"), 66)


def test_memory_in_a_configuration_is_refused(sqlite, tmp_path):
    path = tmp_path / "app.conf"
    path.write_text("appname = x\nadapter = memory\n")
    done = sqlite.run("run", "--config", path, "k", "echo", "ran")
    assert "app.conf:2: the store is the memory of this process alone" in one_line(done, 78)
    assert done.out == ""


def test_what_only_the_store_knows_is_quoted(redis, tmp_path):
    path = tmp_path / "app.conf"
    path.write_text(f"conn = {redis.server.socket}\ndbnum = 99\n")
    for command in (["run", "k", "true"], ["show", "k"], ["ls"]):
        line = one_line(redis.run(command[0], "--config", path, *command[1:], env=no_store()), 78)
        assert "DB index is out of range" in line and redis.server.socket in line
        assert "PAWL_ERR_OPTION" in line and "malformed" not in line


def test_a_password_stays_out_of_the_childs_environment(sqlite, tmp_path):
    path = tmp_path / "app.conf"
    path.write_text("conn = 127.0.0.1:1\npassword = hunter2\n")
    done = sqlite.run("run", "--store-timeout", "100ms", "--config", path, "k", "env")
    assert done.code == 69 and "hunter2" not in done.err + done.out
