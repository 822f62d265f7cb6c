# SPDX-License-Identifier: MIT
"""pawl schema: the text, for the schema that was named, and nothing else."""


def test_the_schema_is_printed(sqlite):
    done = sqlite.run("schema", "postgres")
    assert done.code == 0, done.err
    assert "CREATE TABLE IF NOT EXISTS pawl.hold (" in done.out and "@" not in done.out
    assert "GRANT USAGE ON SCHEMA pawl TO app;" in done.out


def test_another_name_is_written_everywhere(sqlite):
    out = sqlite.run("schema", "--schema", "mine", "postgres").out
    assert "CREATE TABLE IF NOT EXISTS mine.hold (" in out and " pawl." not in out


def test_that_of_mariadb_is_printed(sqlite):
    done = sqlite.run("schema", "mariadb")
    assert done.code == 0, done.err
    assert "CREATE TABLE IF NOT EXISTS pawl_hold (" in done.out and "@pawl_mail" in done.out
    assert "GRANT EXECUTE ON pawl.* TO app;" in done.out
    assert sqlite.run("schema", "mysql").out == done.out


def test_what_is_no_schema_is_a_usage_error(sqlite):
    for words in (["schema"], ["schema", "redis"], ["schema", "postgres", "x"],
                  ["schema", "--schema", "a;b", "postgres"], ["schema", "--schema", "", "postgres"],
                  ["schema", "--schema", "mine", "mariadb"]):
        assert sqlite.run(*words).code == 64, words
