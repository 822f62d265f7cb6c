# SPDX-License-Identifier: MIT
"""scripts/mutate plants what it says, and each excuse is for a line that is still there."""
import importlib.machinery
import importlib.util

import pytest

import tree

loader = importlib.machinery.SourceFileLoader("mutate", str(tree.SOURCE / "scripts/mutate"))
mutate = importlib.util.module_from_spec(importlib.util.spec_from_loader("mutate", loader))
loader.exec_module(mutate)


@pytest.mark.parametrize("operator, before, after", [
    ("boundary", "    if (at <= now) return;", ["    if (at < now) return;"]),
    ("equality", "    if a ~= b then", ["    if a == b then"]),
    ("logic", "    return a && b || c;", ["    return a || b || c;", "    return a && b && c;"]),
    ("logic", "    if a and b then", ["    if a or b then"]),
    ("logic", '    say("a token or a fence, here && there");', []),
    ("logic", "    return `a and b`, c && d", ["    return `a and b`, c || d"]),
    ("logic", "    f('a or b', /* c and d */ e or f)", ["    f('a or b', /* c and d */ e and f)"]),
    ("logic", r"""    f("\" and ", '"', a && b, "'");""", [r"""    f("\" and ", '"', a || b, "'");"""]),
    ("boundary", '    say("a < b");', []),
    ("equality", '    say("a == b");', []),
    ("flag", '    say("true", true);', ['    say("true", false);']),
    ("negation", '    say("no (!x)");', []),
    ("arithmetic", '    say("a + b");', []),
    ("condition", "    if (is_over(c)) return;", ["    if (!(is_over(c))) return;"]),
    ("condition", "    } else if (x) {", ["    } else if (!(x)) {"]),
    ("condition", "\tif err != nil {", ["\tif !(err != nil) {"]),
    ("condition", "    if held then", ["    if not (held) then"]),
    ("condition", "    if (a) b = (c) ? d : e;", ["    if (!(a)) b = (c) ? d : e;"]),
    ("condition", "    if (a &&", []),
    ("constant", "    x = y / 3;", ["    x = y / 4;"]),
    ("constant", '    say("%d of 3 %s", n);', []),
    ("flag", "    x->open = true;", ["    x->open = false;"]),
    ("negation", "    if (!x) return;", ["    if (x) return;"]),
    ("unit", "    t = 5 * PAWL__NS_PER_MS;", ["    t = 5 * PAWL__NS_PER_US;"]),
    ("error_path", "    if (!x) return PAWL_ERR_BUSY;", ["    if (!x) return PAWL_OK;"]),
    ("error_path", "    return NULL;", []),
    ("arithmetic", "    return at + span;", ["    return at - span;"]),
    ("call_removed", "    wake(c);", ["    ;"]),
    ("call_removed", "    return wake(c);", []),
    ("assignment_removed", "    c->asleep = false;", ["    ;"]),
    ("assignment_removed", "    int x = 3;", []),
])
def test_operators(operator, before, after):
    assert list(getattr(mutate, operator)(before)) == after


def test_comments_and_directives_are_no_code(tmp_path):
    source = tmp_path / "x.c"
    source.write_text("#define X 3\n/* if (a) b(); */\n/*\n * f(1);\n */\n    f(1); /* 2 */\n")
    assert list(mutate.code_lines(source)) == [(6, "    f(1);")]


def test_what_only_a_planted_bug_does_is_no_code(tmp_path):
    source = tmp_path / "x.c"
    source.write_text("    if (PAWL_MUTANT(a)) return 1;\n    if (PAWL_MUTANT(a) || b) return 1;\n")
    assert list(mutate.code_lines(source)) == [(2, "    if (PAWL_MUTANT(a) || b) return 1;")]


@pytest.mark.parametrize("name, line, code", [
    ("x.c", '    f("redis://", 8); // why', '    f("redis://", 8);'),
    ("x.c", '    f("/* 1 */");', '    f("/* 1 */");'),
    ("x.c", "    f(/* 1 */ 2); /* 3 */", "    f(/* 1 */ 2);"),
    ("x.c", "    i--;", "    i--;"),
    ("x.go", "\tf('\"') // a or b", "\tf('\"')"),
    ("x.lua", "    f('--', 1) -- a or b", "    f('--', 1)"),
])
def test_a_comment_behind_code_is_no_code(tmp_path, name, line, code):
    (tmp_path / name).write_text(line + "\n")
    assert list(mutate.code_lines(tmp_path / name)) == [(1, code)]


def test_each_area_has_mistakes():
    for area in mutate.AREAS:
        assert len(mutate.drawable(area)) > 50, area


def test_each_excuse_is_for_a_line_that_is_there():
    known = {mutation.id for area in mutate.AREAS for mutation in mutate.drawable(area)}
    gone = {name: reason for name, reason in mutate.excuses().items() if name not in known}
    assert not gone


def test_each_store_has_an_area():
    stores = {path.name for path in (tree.SOURCE / "src/stores").iterdir() if path.is_dir()}
    assert stores and stores <= set(mutate.AREAS)
