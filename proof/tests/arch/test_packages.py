# SPDX-License-Identifier: MIT
"""The packages and the code name the same: versions, symbols, stores, what is installed."""
import re

import pytest
import tree
from test_symbols import LIBRARIES, nodes

VERSION = re.search(r"version: '([\d.]+)'", tree.read("meson.build")).group(1)


def paragraphs():
    """{package: its paragraph of debian/control}"""
    found = {}
    for text in tree.read("debian/control").split("\n\n"):
        name = re.search(r"^Package: (\S+)$", text, re.M)
        if name:
            found[name.group(1)] = text
    return found


@pytest.mark.parametrize("path, pattern", [
    ("include/pawl/pawl.h", r'#define PAWL_VERSION +"([\d.]+)"'),
    ("debian/changelog", r"\Apawl \(([\d.]+)\)"),
    ("contrib/rpm/pawl.spec", r"(?m)^Version: +([\d.]+)$"),
    ("CHANGELOG.md", r"(?m)^## ([\d.]+)"),
    ("bindings/python/pyproject.toml", r'(?m)^version = "([\d.]+)"$'),
    ("bindings/node/package.json", r'"version": "([\d.]+)"'),
    ("bindings/go/doc.go", r"bindings/go@v([\d.]+)"),
    ("bindings/go/pawlbeego/go.mod", r"bindings/go v([\d.]+)"),
    ("bindings/go/pawlbeego/open.go", r"bindings/go/pawlbeego@v([\d.]+)"),
    ("README.md", r"bindings/go@v([\d.]+)"),
    ("README.zh-CN.md", r"bindings/go@v([\d.]+)"),
])
def test_the_version_is_the_same_everywhere(path, pattern):
    assert re.search(pattern, tree.read(path)).group(1) == VERSION


@pytest.mark.parametrize("library", sorted(LIBRARIES))
def test_the_symbols_file_is_that_of_the_map(library):
    text = tree.read(f"debian/{library[:-len('.so')]}0.symbols")
    assert text.startswith(f"{library}.0 ")
    path = LIBRARIES[library][1]
    prefix = re.search(r"(?m)^(PAWL\w*)_[\d.]+ \{", tree.read(path)).group(1)
    rows = re.findall(rf"(?m)^ (pawl_\w+)@{prefix}_([\d.]+) (\S+)$", text)
    assert {name: node for name, node, _ in rows} == nodes(path)
    listed = {name: since for name, _, since in rows}
    assert not [name for name, since in listed.items() if not re.fullmatch(r"\d+\.\d+\.\d+", since)]


def test_each_store_has_the_package_that_errors_name():
    """src/runtime/modules.c says "package libpawl-NAME"."""
    code = tree.read("src/runtime/modules.c")
    assert "(package libpawl-%s," in code
    table = re.search(r"shipped\[\] = \{(.*?)\n\};", code, re.S).group(1)
    stores = re.findall(r'(?m)^    \{"(\w+)",.*NULL\}, NULL,|^    \{"(\w+)", .*', table)
    stores = {a or b for a, b in stores} - {"memory"}
    assert len(stores) >= 4
    packages = paragraphs()
    for store in stores:
        assert f"libpawl-{store}" in packages
        assert f"/pawl/pawl-store-{store}.so\n" in tree.read(f"debian/libpawl-{store}.install")


def test_every_package_says_what_it_has():
    for name in paragraphs():
        assert (tree.SOURCE / f"debian/{name}.install").exists(), name
    for path in (tree.SOURCE / "debian").glob("*.install"):
        assert path.stem in paragraphs(), path.name
