# SPDX-License-Identifier: MIT
"""A store in the tree or in the build without the conformance suite is no store."""
import json
import re

import tree


# common: what stores share. hostile: stands in front of one, for tests, and breaks the contract on purpose.
NO_STORES = {"common", "hostile"}


def stores_in_tree():
    return {path.name for path in (tree.SOURCE / "src/stores").iterdir() if path.is_dir()} - NO_STORES


def stores_in_build():
    modules = tree.BUILD.glob("pawl-store-*.so")
    return {path.stem[len("pawl-store-"):] for path in modules} - NO_STORES | {"memory"}


def test_every_store_has_its_conformance_run():
    tests = json.loads(tree.run("meson", "introspect", "--tests"))
    played = {}
    for test in tests:
        if test["name"].startswith("conformance "):
            played[test["name"].split()[1]] = test["cmd"]
    assert stores_in_build() - set(played) == set()
    for name, command in played.items():
        assert command[1] == name
        if name != "memory":
            assert command[2].split("/")[-1] == f"pawl-store-{name}.so", "the module that is shipped"


def test_every_store_of_the_tree_is_in_this_build():
    assert stores_in_tree() == stores_in_build()


def test_a_store_is_named_in_one_table():
    """The library knows a store by its line in modules.c, and nowhere else."""
    table = re.search(r"shipped\[\] = \{(.*?)\n\};", tree.read("src/runtime/modules.c"), re.S)
    named = set(re.findall(r'^\s*\{"(\w+)"', table.group(1), re.M))
    assert named == stores_in_tree()
    options = re.findall(r"^option\('(\w+)', type: 'feature'", tree.read("meson_options.txt"), re.M)
    assert named - {"memory"} <= set(options), "the message names -DNAME=enabled"
