# SPDX-License-Identifier: MIT
"""The prose: links lead somewhere, examples are marked, claims stay within what is known."""
import re
import subprocess

import pytest

import pages
from pages import MAN, MARKDOWN, SOURCE

# Promises that no lock with a ttl can keep, or that say nothing.
NOT_SAID = ["guarantees that", "guaranteed", "exactly one", "exactly-once", "distributed mutex",
            "safe even if", "strongly consistent", "bulletproof", "blazing", "enterprise",
            "battle-tested", "military"]

TEXTS = MARKDOWN + MAN


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.name)
def test_words(path):
    text = path.read_text(encoding="utf-8").lower()
    assert not [word for word in NOT_SAID if word in re.sub(r"\s+", " ", text)]


def test_every_example_says_what_becomes_of_it():
    code = pages.CODE_LANGUAGES + ("?",)
    wrong = [f"{e}: {e.language} {e.what}" for e in pages.examples()
             if e.language in code and e.what not in pages.WHAT]
    assert not wrong, wrong


def anchors(path):
    """GitHub's anchors of the headings, as far as ours go."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    heads = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda p: p.name)
def test_links(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", text):
        target = target[0] or target[1]
        if re.match(r"https?:", target):
            continue
        file, _, anchor = target.partition("#")
        to = (path.parent / file).resolve() if file else path
        assert to.exists(), f"{path.name}: {target}"
        if anchor:
            assert anchor in anchors(to), f"{path.name}: {target}"


def test_the_tree_that_is_drawn_is_the_real_one():
    """The block of folders in docs/architecture.md names each folder at the top, and no other."""
    page = (SOURCE / "docs/architecture.md").read_text(encoding="utf-8")
    drawing = page.split("## The parts", 1)[1].split("```text\n", 1)[1].split("```", 1)[0]
    drawn, above = set(), ""
    for line in drawing.splitlines():
        for name in re.findall(r"[\w/]+/(?= |$)", line[:17]):
            if not line.startswith(" "):
                above = name
            drawn.add(name if not line.startswith(" ") else above + name)
    assert len(drawn) > 12
    assert not [name for name in drawn if not (SOURCE / name).is_dir()]
    tracked = subprocess.run(["git", "ls-files"], cwd=SOURCE, capture_output=True, text=True, check=False)
    tops = {f.split("/")[0] for f in tracked.stdout.split() if "/" in f and f[0] != "."}
    assert tops - {name.split("/")[0] for name in drawn} <= {"scripts"}


def test_files_that_are_named_exist():
    """`src/engine/states.c`, docs/protocol.md and their like, in prose and in comments."""
    named = re.compile(r"(?<![\w/])((?:src|include|man|docs|proof|contrib|scripts|examples|bindings)"
                       r"/[\w/.+-]*\.(?:c|h|md|lua|py|1|3|7|build))\b")
    wrong = []
    for path in MARKDOWN:
        for name in named.findall(path.read_text(encoding="utf-8")):
            if not (SOURCE / name).exists():
                wrong.append(f"{path.name}: {name}")
    assert not wrong, wrong


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (SOURCE / "Makefile").read_text("utf-8"), re.M))
    named = re.compile(r"(?:`|^|sudo )make ([a-z][a-z-]*)", re.M)
    for path in MARKDOWN:
        for target in named.findall(path.read_text("utf-8")):
            assert target in targets, f"{path.name}: make {target}"


def test_the_readme_shows_the_demo_as_it_is():
    """The table in the README has the rows that the demo prints, in its order."""
    rows = re.findall(r'(?:number_)?row\("([^"]+)",', (SOURCE / "examples/demo/table.c").read_text("utf-8"))
    assert len(rows) == 5
    readme = (SOURCE / "README.md").read_text("utf-8")
    shown = re.findall(r"^  (" + "|".join(map(re.escape, rows)) + r") {2,}\S", readme, re.M)
    assert shown == rows * 2


def test_the_picture_is_of_the_table():
    """docs/demo.svg shows the numbers of the README's table: one run, not two."""
    drawn = subprocess.run([SOURCE / "scripts/demo-picture"], check=True, text=True, timeout=30,
                           input=(SOURCE / "README.md").read_text("utf-8"),
                           stdout=subprocess.PIPE).stdout
    assert drawn == (SOURCE / "docs/demo.svg").read_text("utf-8")
    for survived in re.findall(r"(\d+ of \d+) survived", drawn):
        assert survived in re.search(r"!\[(.*?)\]", (SOURCE / "README.md").read_text("utf-8"))[1]


# A sentence, and what in the code makes it true. Blanks match any blanks.
NUMBERS = [
    ("docs/architecture.md", "at most 64 times or for 20 ms", "src/engine/engine.c",
     r"share_count_max\W+64\b.*share_ms_max\W+20\b"),
    ("docs/architecture.md", "first four waiters also ask", "src/engine/on_reply.c",
     r"FIRST_WAITERS +4\n"),
    ("docs/architecture.md", "25 ms apart", "src/engine/on_reply.c", r"FIRST_STAGGER_MS +25\n"),
    ("docs/architecture.md", "margin = max(ttl/10, 5 ms) + 2 ms", "src/engine/plan.c",
     r"term / 10, least = 5 \* PAWL__NS_PER_MS;.*\+ 2 \* PAWL__NS_PER_MS"),
    ("docs/architecture.md", "every ttl/12, at most 2 s", "src/engine/plan.c",
     r"/ 12, 2 \* PAWL__NS_PER_MS, 2000 \*"),
    ("docs/architecture.md", "after ttl/12, at most 250 ms", "src/engine/plan.c",
     r"/ 12, 250 \* PAWL__NS_PER_MS"),
    ("docs/architecture.md", "less than ttl/4 is left", "src/engine/plan.c", r"\(ttl_ms\) / 4;"),
    ("docs/architecture.md", "less than that confirmation and the patience for its answer take", "src/engine/plan.c",
     r"plan_confirm_ns\(ttl_ms\) \+ pawl__plan_answer_ns\(ttl_ms\);"),
    ("docs/protocol.md", "renews the lease that it was handed 250 ms later", "src/engine/plan.c",
     r"/ 12, 250 \* PAWL__NS_PER_MS"),
    ("docs/architecture.md", "ttl/6, 100 ms to 5 s", "src/engine/plan.c",
     r"/ 6, 100 \* PAWL__NS_PER_MS, 5000 \*"),
    ("docs/protocol.md", "100 of them, the others learn it", "src/stores/redis/scripts/lib_many.lua",
     r"TOLD_MAX = 100 "),
    ("docs/protocol.md", "in one script: 1000 at most", "src/stores/redis/scripts/lib_many.lua",
     r"GRANTS_MAX = 1000 "),
    ("docs/protocol.md", "At most 10 000 clients hold", "src/stores/redis/scripts/lib_many.lua",
     r"HOLDERS_MAX = 10000\n"),
    ("docs/protocol.md", "256 waiters at most", "src/stores/redis/scripts/lib_queue.lua",
     r"SKIP_MAX = 256\n"),
    ("docs/protocol.md", "at most 100 000 places", "src/stores/redis/scripts/acquire.lua",
     r"QUEUE_MAX = 100000\n"),
    ("docs/protocol.md", "outlives its lease by ten minutes",
     "src/stores/redis/scripts/lib_keys.lua", r"FENCE_KEEP_MS = 600000\n"),
    # One rule in two languages: pawl/store.h has it for C, rule 8.
    ("docs/protocol.md", "two thirds of the waiter's ttl",
     "src/stores/redis/scripts/acquire.lua", r"ttl \* 2 / 3"),
    ("docs/protocol.md", "two thirds of the waiter's ttl", "include/pawl/store.h",
     r"pawl_place_span.*return ttl / 3 \* 2;"),
    ("docs/protocol.md", "`application_id` is 0x7061776C", "src/stores/sqlite/sqlite_db.h",
     r"APPLICATION_ID 0x7061776C"),
    ("docs/protocol.md", "stays for a minute", "src/stores/sqlite/sqlite_rows.h",
     r"PAWL__OLD_KEEP_NS INT64_C\(60000000000\)"),
    ("docs/protocol.md", "about once in ten minutes", "src/stores/sqlite/sqlite_db.c",
     r"CEILING_AHEAD_US +UINT64_C\(600000000\)"),
    ("docs/protocol.md", "testing the byte every 20 ms", "src/stores/sqlite/sqlite_watch.c",
     r"TICK_MS +20\n"),
    ("docs/guarantees.md", "names 512 bytes", "include/pawl/types.h", r"PAWL_NAME_MAX +512 "),
    ("docs/guarantees.md", "ttl 10 ms to 24 h", "include/pawl/types.h",
     r"TTL_MIN_MS +10 .*TTL_MAX_MS +86400000 "),
    ("docs/guarantees.md", "bound of 64 passes or 20 ms", "src/engine/engine.c",
     r"share_count_max\W+64\b.*share_ms_max\W+20\b"),
    ("docs/guarantees.md", "remembered for ten minutes",
     "src/stores/redis/scripts/lib_keys.lua", r"FENCE_KEEP_MS = 600000\n"),
]


@pytest.mark.parametrize("page, sentence, source, pattern", NUMBERS,
                         ids=[f"{n[0]}-{n[1]}" for n in NUMBERS])
def test_numbers_in_the_text_are_those_of_the_code(page, sentence, source, pattern):
    text = re.sub(r"\s+", " ", (SOURCE / page).read_text("utf-8"))
    assert sentence in text
    assert re.search(pattern, (SOURCE / source).read_text("utf-8"), re.S), f"{source}: {sentence}"


def test_tables_of_the_database():
    """docs/protocol.md names the columns of the schema, in its order."""
    schema = (SOURCE / "src/stores/sqlite/sqlite_open.c").read_text("utf-8")
    text = (SOURCE / "docs/protocol.md").read_text("utf-8")
    for table in ("lock", "hold", "wait", "broken"):
        body = re.search(rf'"CREATE TABLE {table}\((.*?);"', schema, re.S).group(1)
        columns = re.findall(r'^ *" (\w+) (?:BLOB|TEXT|INTEGER)', body, re.M)
        named = re.search(rf"^{table} +(.*(?:\n {{5,}}.*)*)$", text, re.M).group(1)
        assert re.sub(r"\s+", " ", re.sub(r" \([^)]*\)", "", named)) == ", ".join(columns)


def test_a_tenth_of_ttl_30s():
    """The times of a lease in pawl(7) and architecture.md are those of a ttl of 30 s."""
    ttl, grace = 30.0, 5.0
    deadline = ttl - max(ttl / 10, 0.005) - 0.002
    man = (SOURCE / "man/pawl.7").read_text("utf-8")
    times = [float(t) for t in re.findall(r"^\.It (\d+) s Ta", man, re.M)]
    assert times == [0, ttl / 3, round(deadline - grace), round(deadline), ttl]
