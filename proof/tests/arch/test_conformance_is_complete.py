# SPDX-License-Identifier: MIT
"""A store in the tree or in the build without the conformance suite is no store."""
import json

import tree


def stores_in_tree():
    return {path.name for path in (tree.SOURCE / "src/stores").iterdir() if path.is_dir()}


def stores_in_build():
    modules = tree.BUILD.glob("pawl-store-*.so")
    return {path.stem[len("pawl-store-"):] for path in modules} | {"memory"}


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
            assert command[2].endswith(f"/pawl-store-{name}.so"), "the module that is shipped"


def test_every_store_of_the_tree_is_in_this_build():
    assert stores_in_tree() == stores_in_build()
