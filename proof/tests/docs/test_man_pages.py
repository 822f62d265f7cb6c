# SPDX-License-Identifier: MIT
"""The manual pages and the code say the same: symbols, commands, options, errors, exit codes."""
import re
import shutil
import subprocess

import pytest

import pages
from pages import BUILD, MAN, SOURCE

PAWL = BUILD / "pawl"


def page(name):
    return SOURCE / "man" / name


def output(*command):
    return subprocess.run([str(c) for c in command], check=True, text=True, timeout=30,
                          stdout=subprocess.PIPE).stdout


def text_of(name):
    return page(name).read_text(encoding="utf-8")


# ---- Form --------------------------------------------------------------------------------

def test_mandoc_has_nothing_to_say():
    if not shutil.which("mandoc"):
        print("SKIP: mandoc is not installed: the manual pages were not linted")
        pytest.skip("mandoc is not installed: the manual pages were not linted")
    done = subprocess.run(["mandoc", "-T", "lint"] + [str(p) for p in MAN], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    here = {f"{p.stem} {p.suffix[1:]}" for p in MAN}
    wrong = []
    for line in (done.stdout + done.stderr).splitlines():
        missing = re.search(r"referenced manual not found: Xr (\S+ \d)", line)
        # whether this machine has other people's pages is not our pages' fault
        if missing and (missing.group(1) in here or not missing.group(1).startswith("pawl")):
            continue
        if "outdated mandoc.db" in line or "mandoc.db: No such file" in line:
            continue
        wrong.append(line)
    assert not wrong, "\n".join(wrong)


def test_references_among_our_pages_lead_somewhere():
    here = {(p.stem, p.suffix[1:]) for p in MAN}
    for path in MAN:
        for name, section in re.findall(r"^\.Xr (pawl\S*) (\d)", path.read_text("utf-8"), re.M):
            assert (name, section) in here, f"{path.name} refers to {name}({section})"


def test_every_page_is_installed():
    build = (SOURCE / "man/meson.build").read_text("utf-8")
    for path in MAN:
        assert f"'{path.name}'" in build, f"{path.name} is not in man/meson.build"


# ---- Symbols --------------------------------------------------------------------------------

def exported(library):
    lines = output("nm", "-D", "--defined-only", library).splitlines()
    return {line.split()[-1].split("@")[0] for line in lines} - {"PAWL_0.1", "PAWL_0.2", "PAWL_CONFIG_0.1", "PAWL_CONFIG_0.2"}


def documented():
    found = {}
    for path in MAN:
        found.update(pages.prototypes(path))
    return found


def libraries():
    return [lib for lib in (BUILD / "libpawl.so", BUILD / "libpawl-config.so") if lib.exists()]


def test_every_symbol_has_a_page():
    assert libraries()
    known = documented()
    for library in libraries():
        symbols = {s for s in exported(library) if s.startswith("pawl")}
        assert len(symbols) > 5
        missing = symbols - set(known)
        assert not missing, f"in no manual page: {sorted(missing)}"


def test_every_function_of_the_pages_exists():
    symbols = set().union(*map(exported, libraries()))
    macros = set()
    for header in (SOURCE / "include/pawl").glob("*.h"):
        macros |= set(re.findall(r"^#define (pawl_\w+)\(", header.read_text("utf-8"), re.M))
    strange = set(documented()) - symbols - macros
    if not (BUILD / "libpawl-config.so").exists():
        strange -= set(pages.prototypes(page("pawl_config.3")))
    assert not strange, f"documented, but not there: {sorted(strange)}"


def test_prototypes_are_those_of_the_headers():
    declared = {}
    for header in (SOURCE / "include/pawl").glob("*.h"):
        declared.update(pages.header_prototypes(header))
    assert len(declared) > 30
    for name, prototype in documented().items():
        if name in declared:
            assert prototype == declared[name]


# ---- The command -----------------------------------------------------------------------------

TORTURE = BUILD / "pawl-torture"
needs_torture = pytest.mark.skipif(not TORTURE.exists(), reason="pawl-torture was not built")
needs_command = pytest.mark.skipif(not PAWL.exists(), reason="the command was not built")


def verbs_of_help():
    listed = re.search(r"\n\n((?:  \w.*\n)+)\nOptions", output(PAWL, "help")).group(1)
    return re.findall(r"^  (\w+) ", listed, re.M)


def options_of_help(text):
    """From the left column of a help page; and letters that a text mentions with 'also'."""
    options = set()
    for line in text.splitlines():
        left = re.match(r"^ {2,6}(-\S.*?)(?: {2,}|$)", line)
        if left:
            options |= set(re.findall(r"(?:^|[ ,])(--?[A-Za-z][\w-]*)", left.group(1)))
            options |= set(re.findall(r"also (-\w)\b(?! after)", line))
    return options


@needs_command
def test_the_page_has_the_commands_of_help():
    verbs = verbs_of_help()
    assert "run" in verbs
    described = [name.split("/")[1] for name in pages.sections(page("pawl.1"))
                 if name.startswith("COMMANDS/")]
    assert sorted(described) == sorted(verbs)
    synopsis = "\n".join(pages.sections(page("pawl.1"))["SYNOPSIS"])
    for verb in verbs:
        assert re.search(rf"^\.Cm (.* )?{verb}( |$)", synopsis, re.M), f"{verb} is not in SYNOPSIS"


@needs_command
def test_the_page_has_the_options_of_help():
    sections = pages.sections(page("pawl.1"))
    common = pages.options_in(sections["OPTIONS"])
    assert options_of_help(output(PAWL, "help")) == common
    for verb in verbs_of_help():
        if verb in ("help", "version"):
            continue
        helped = options_of_help(output(PAWL, "help", verb)) - common
        described = pages.options_in(sections[f"COMMANDS/{verb}"])
        assert helped == described, f"pawl {verb}: help and page differ: {helped ^ described}"


@needs_command
def test_flock_page_has_its_options():
    sections = pages.sections(page("pawl-flock.1"))
    common = pages.options_in(pages.sections(page("pawl.1"))["OPTIONS"])
    helped = options_of_help(output(BUILD / "pawl-flock", "--help")) - common
    described = pages.options_in(sections["DESCRIPTION"])
    assert helped - described == set() and described - helped <= {"-e"}


@needs_torture
def test_torture_page_has_its_options_setups_and_faults():
    sections = pages.sections(page("pawl-torture.1"))
    helped = output(TORTURE, "--help")
    assert options_of_help(helped) == pages.options_in(sections["DESCRIPTION/Options"])
    setups = re.findall(r"^  (\S+)", helped.split("Setups:")[1].split("Faults:")[0], re.M)
    described = re.findall(r"^\.It Cm (\S+)", "\n".join(sections["DESCRIPTION/Setups"]), re.M)
    assert setups == described
    codes = re.findall(r"(?:: |; |\n)(\d+(?:\+n)?) ", helped.split("Exit status")[1])
    described = re.findall(r"^\.It (\S+)", "\n".join(sections["EXIT STATUS"]), re.M)
    assert codes == described


@needs_command
def test_bench_page_has_its_options():
    sections = pages.sections(page("pawl-bench.1"))
    common = pages.options_in(pages.sections(page("pawl.1"))["OPTIONS"])
    helped = options_of_help(output(BUILD / "pawl-bench", "--help")) - common
    assert helped and helped == pages.options_in(sections["DESCRIPTION/Options"])


@pytest.mark.skipif(not (BUILD / "pawl-top").exists(), reason="pawl-top was not built")
def test_top_page_has_its_options():
    sections = pages.sections(page("pawl-top.1"))
    common = pages.options_in(pages.sections(page("pawl.1"))["OPTIONS"])
    helped = options_of_help(output(BUILD / "pawl-top", "--help")) - common
    assert helped and helped == pages.options_in(sections["DESCRIPTION/Options"])


@pytest.mark.skipif(not (BUILD / "pawl-serve").exists(), reason="pawl-serve was not built")
def test_serve_page_has_its_options():
    sections = pages.sections(page("pawl-serve.1"))
    common = pages.options_in(pages.sections(page("pawl.1"))["OPTIONS"])
    helped = options_of_help(output(BUILD / "pawl-serve", "--help")) - common
    assert helped and helped == pages.options_in(sections["DESCRIPTION/Options"])


@needs_command
def test_exit_codes():
    helped = output(PAWL, "help").split("Exit codes:")[1]
    helped = set(re.findall(r"\b(\d+(?:\+n)?)\b", "\n".join(
        line[:11] for line in helped.splitlines())))
    described = "\n".join(l for l in pages.sections(page("pawl.1"))["EXIT STATUS"]
                          if l.startswith(".It"))
    assert set(re.findall(r"\d+(?:\+n)?", described)) == helped


def test_environment():
    sources = "".join(p.read_text("utf-8") for top in ("src/cli", "src/runtime", "src/stores")
                      for p in sorted((SOURCE / top).rglob("*.c")))
    read = set(re.findall(r'getenv\("(PAWL_\w+)"\)', sources))
    given = set(re.findall(r'"(PAWL_\w+)"', "".join(
        re.findall(r"(?:own|numbered)_names\[\] = \{(.*?)\}", sources, re.S))))
    described = set(re.findall(r"PAWL_[A-Z_]+", "\n".join(
        pages.sections(page("pawl.1"))["ENVIRONMENT"])))
    assert read | given == described


# ---- Errors --------------------------------------------------------------------------------------

def errors_of_header():
    text = (SOURCE / "include/pawl/types.h").read_text("utf-8")
    return dict(re.findall(r"X\((\w+), -\d+, (\w+), ", text))


def test_every_error_has_an_entry():
    described = re.findall(r"^\.It Bq Er PAWL_ERR_(\w+)$", text_of("pawl_errors.3"), re.M)
    assert sorted(described) == sorted(errors_of_header())


def test_every_class_has_an_entry():
    described = set(re.findall(r"^\.It Dv PAWL_CLASS_(\w+)$", text_of("pawl_errors.3"), re.M))
    assert described == set(errors_of_header().values()) | {"OK"}


def test_exit_codes_of_errors():
    """The number in parentheses is what src/cli makes of the error."""
    numbers = dict(re.findall(r"(CLI_EXIT_\w+) = (\d+)",
                              (SOURCE / "src/cli/exit_codes.h").read_text("utf-8")))
    body = (SOURCE / "src/cli/exit_codes.c").read_text("utf-8")
    codes = {}
    groups = r"((?:    case PAWL_\w+:\n)+)        return (CLI_EXIT_\w+);"
    for cases, code in re.findall(groups, body):
        for name in re.findall(r"PAWL_ERR_(\w+)", cases):
            codes[name] = numbers[code]
    entries = re.findall(r"\.It Bq Er PAWL_ERR_(\w+)\n(.*?)(?=\n\.It|\n\.El)",
                         text_of("pawl_errors.3"), re.S)
    assert len(entries) > 30
    for name, text in entries:
        said = re.search(r"\((\d+)\)", text)
        assert said and said.group(1) == codes[name], f"PAWL_ERR_{name}: {codes[name]}"
