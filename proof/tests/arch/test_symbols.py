# SPDX-License-Identifier: MIT
"""What the binaries need and what they show, by nm and readelf."""
import re

import pytest
import tree
from test_layers import FLOORS

# All that the engine may ask of the system: memory and memory's arithmetic.
ENGINE_NEEDS = {"memcpy", "memmove", "memset", "memcmp", "memchr", "strlen", "strcmp", "strncmp",
                "malloc", "calloc", "realloc", "free", "abort",
                "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}


def symbols(archive, *options):
    names = set()
    for line in tree.run("nm", *options, archive).splitlines():
        fields = line.split()
        if fields and not line.endswith(":"):
            names.add(fields[-1])
    return names


def needs(archive):
    return symbols(archive, "--undefined-only") - symbols(archive, "--defined-only")


def test_base_needs_nothing_of_ours():
    assert needs("libpawl_base.a") - ENGINE_NEEDS == set()


def test_the_engine_needs_only_base_and_memory():
    base = symbols("libpawl_base.a", "--defined-only")
    assert needs("libpawl_engine.a") - base - ENGINE_NEEDS == set()


def members(archive, option):
    """{object: symbols}; an object is named as its source, without the suffix."""
    parts = re.split(r"^(\S+\.o):$", tree.run("nm", option, archive), flags=re.M)
    return {re.search(r"([^/]+)\.c\.o$", name.replace("src_runtime_", "")).group(1): {line.split()[-1] for line in body.splitlines() if line.strip()}
            for name, body in zip(parts[1::2], parts[2::2])}


def test_the_floors_of_the_runtime_call_downward_only():
    defined = {symbol: name for name, symbols in members("libpawl_runtime.a", "--defined-only").items()
               for symbol in symbols}
    floor = {name: n for n, names in enumerate(FLOORS) for name in names}
    needed = members("libpawl_runtime.a", "--undefined-only")
    assert len(needed) > 15
    tree.none([f"{name}.c: {symbol} of {defined[symbol]}.c" for name, symbols in needed.items() for symbol in sorted(symbols)
               if symbol in defined and floor[defined[symbol]] > floor[name]])


def test_the_model_needs_no_clock_and_no_thread():
    """Of the memory store's objects, those of the model."""
    listed = tree.run("nm", "--undefined-only", "libpawl_memory.a")
    parts = re.split(r"^(\S+\.o):$", listed, flags=re.M)
    needed = set()
    for name, body in zip(parts[1::2], parts[2::2]):
        if "memory_model" in name or "memory_report" in name:
            needed |= {line.split()[-1] for line in body.splitlines() if line.strip()}
    assert needed
    rest = {n for n in needed - ENGINE_NEEDS if not n.startswith("pawl__")}
    assert rest == set()


# library: the headers that declare what it shows, and its map
LIBRARIES = {
    "libpawl.so": (["pawl.h", "types.h", "store.h", "trace.h", "metrics.h", "composed.h"], "src/pawl.map"),
    "libpawl-config.so": (["config.h"], "src/pawl-config.map"),
}


def declared(headers):
    """The functions that public headers declare."""
    names = set()
    for header in headers:
        text = tree.code(f"include/pawl/{header}")
        text = re.sub(r"^\s*#.*?(?<!\\)$", "", text, flags=re.M | re.S)
        for declaration in re.findall(r"\bPAWL_API\b(.*?);", text, re.S):
            names.add(re.search(r"\b(pawl_\w+)\s*\(", declaration).group(1))
    return names


def mapped(path):
    text = re.sub(r"/\*.*?\*/", "", tree.read(path), flags=re.S)
    names = set()
    for body in re.findall(r"global:(.*?)(?:local:|\})", text, re.S):
        names |= set(re.findall(r"([\w*]+);", body))
    return names


def nodes(path):
    """{symbol: the version whose node of the map has it}"""
    text = re.sub(r"/\*.*?\*/", "", tree.read(path), flags=re.S)
    return {name: version for version, body in re.findall(r"PAWL\w*_([\d.]+) \{\s*global:(.*?)(?:local:|\})", text, re.S)
            for name in re.findall(r"(\w+);", body)}


def since(header):
    """{function: the version that the comment above it, or above its group, names}"""
    found, version = {}, None
    for comment, text in re.findall(r"(/\*.*?\*/)|((?:(?!/\*).)+)", tree.read(f"include/pawl/{header}"), re.S):
        said = re.search(r"[Ss]ince[\s*]+(\d+\.\d+)", comment)
        version = said.group(1) if said else version
        for declaration in re.findall(r"\bPAWL_API\b(.*?);", text, re.S):
            found[re.search(r"\b(pawl_\w+)\s*\(", declaration).group(1)] = version
    return found


def exported(library):
    names = set()
    for line in tree.run("nm", "-D", "--defined-only", library).splitlines():
        kind, name = line.split()[-2:]
        if kind != "A":  # the version nodes themselves
            names.add(re.sub(r"@.*", "", name))
    return names


def test_every_header_belongs_to_a_library():
    headers = [h for known, _ in LIBRARIES.values() for h in known]
    assert sorted(headers) == sorted(p.name for p in tree.files("include"))


@pytest.mark.parametrize("library", sorted(LIBRARIES))
def test_header_map_and_library_agree(library):
    headers, path = LIBRARIES[library]
    assert declared(headers)
    assert declared(headers) == mapped(path)
    assert mapped(path) == exported(library)


@pytest.mark.parametrize("library", sorted(LIBRARIES))
def test_since_is_the_symbols_node(library):
    headers, path = LIBRARIES[library]
    told = {name: version for header in headers for name, version in since(header).items()}
    assert told == nodes(path)


@pytest.mark.parametrize("library", sorted(LIBRARIES))
def test_every_symbol_has_a_version(library):
    for line in tree.run("nm", "-D", "--defined-only", library).splitlines():
        kind, name = line.split()[-2:]
        assert kind == "A" or "@@PAWL_" in name, name


def modules():
    return sorted(path.name for path in tree.BUILD.glob("pawl-store-*.so"))


@pytest.mark.parametrize("module", modules())
def test_a_module_shows_its_entry_only(module):
    assert exported(module) == {"pawl_store_entry"}


def test_the_library_needs_no_stores_library():
    dynamic = tree.run("readelf", "-d", "libpawl.so")
    needed = re.findall(r"NEEDED.*\[(.*?)\]", dynamic)
    allowed = re.compile(r"(libevent_(core|pthreads)-|libevent-|libc\.|libdl\.|libpthread\."
                         r"|ld-linux)")
    tree.none([name for name in needed if not allowed.match(name)])
    assert re.findall(r"SONAME.*\[(.*?)\]", dynamic) == ["libpawl.so.0"]


def test_the_command_starts_with_few_libraries():
    """Each costs `pawl run KEY true` a twentieth of its time; it has those of the tree inside."""
    needed = re.findall(r"NEEDED.*\[(.*?)\]", tree.run("readelf", "-d", "pawl"))
    allowed = re.compile(r"(libevent_core-|libjansson\.|libc\.|libdl\.|libpthread\.|ld-linux|lib[at]san|libubsan)")
    tree.none([name for name in needed if not allowed.match(name)])


def test_modules_need_no_libpawl():
    for module in modules():
        assert "libpawl" not in tree.run("readelf", "-d", module)
