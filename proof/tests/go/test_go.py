# SPDX-License-Identifier: MIT
"""The Go binding, its Beego package and the Beego application, each against real stores."""
import json
import os
import re
import shutil
import subprocess
import zipfile

import pytest

SOURCE = os.environ["PAWL_SOURCE"]
BUILD = os.environ["PAWL_BUILD"]
FLAVOUR = os.environ.get("PAWL_TEST_FLAVOUR", "plain")

pytestmark = [
    pytest.mark.skipif(shutil.which("go") is None, reason="there is no go"),
    pytest.mark.skipif(FLAVOUR != "plain", reason=f"Go's runtime does not load a library built for {FLAVOUR}"),
]

MODULES = ["bindings/go", "bindings/go/pawlbeego", "examples/beego-counter"]
BENCH = "bindings/go/bench"  # its peers are large, and nothing of pawl's
PATH = "github.com/pawl-lock/pawl/"


@pytest.fixture(scope="module")
def environment():
    env = dict(os.environ)
    env["PKG_CONFIG_PATH"] = os.path.join(BUILD, "meson-uninstalled")
    env["LD_LIBRARY_PATH"] = BUILD
    env["CGO_CFLAGS"] = f"-g -O1 -I{SOURCE}/include"
    # With -trimpath all of them share what go has compiled, wherever they have their modules.
    env["GOFLAGS"] = "-buildvcs=false -trimpath"
    env["PAWL_TEST_CONFIG_DUMP"] = os.path.join(BUILD, "proof", "tests", "config", "test-config-dump")
    for name in ("PAWL_STORE", "PAWL_CONFIG", "BEEGO_RUNMODE"):
        env.pop(name, None)
    return env


def go(env, module, *arguments):
    return subprocess.run(["go", *arguments], cwd=os.path.join(SOURCE, module), env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def need_modules(env, module):
    """Beego comes from the Go module proxy: without it, and without a cache, there is none."""
    got = go(env, module, "mod", "download")
    if got.returncode != 0:
        pytest.skip(f"{module}: its Go modules cannot be had: {got.stdout.strip()[-200:]}")


OWN_PROGRAM = """package main

import (
	"context"
	"fmt"

	pawl "github.com/pawl-lock/pawl/bindings/go"
)

func main() {
	client, err := pawl.Open("memory:", nil)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	err = client.NewLock("nightly", nil).Do(context.Background(), func(context.Context) error {
		fmt.Println("alone")
		return nil
	})
	if err != nil {
		panic(err)
	}
}
"""


def test_a_module_of_ones_own(environment, tmp_path):
    """The lines of the package's documentation for who has a checkout, in an empty folder."""
    (tmp_path / "main.go").write_text(OWN_PROGRAM)
    lines = re.findall(r"^//\t(go mod .*)$", page("bindings/go/doc.go"), re.M)
    assert len(lines) == 2
    commands = ["go mod init own", *lines, "go run ."]
    script = " && ".join(commands).replace("/path/to/pawl", SOURCE)
    run = subprocess.run(["sh", "-c", script], cwd=tmp_path, env=dict(environment, GOPROXY="off"),
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert (run.returncode, run.stdout) == (0, "alone\n"), run.stderr


# ---- Versions that are fetched ----------------------------------------------------------------


def page(name):
    with open(os.path.join(SOURCE, name), encoding="utf-8") as file:
        return file.read()


def version():
    return "v" + re.search(r'#define PAWL_VERSION +"(.*)"', page("include/pawl/pawl.h")).group(1)


def publish(module, proxy):
    """A module of the working tree as a version on a proxy that is a folder."""
    name = PATH + module
    top = os.path.join(SOURCE, module)
    there = proxy / name / "@v"
    there.mkdir(parents=True)
    (there / "list").write_text(version() + "\n")
    (there / f"{version()}.info").write_text(json.dumps({"Version": version(), "Time": "2026-01-01T00:00:00Z"}))
    (there / f"{version()}.mod").write_text(page(f"{module}/go.mod"))
    with zipfile.ZipFile(there / f"{version()}.zip", "w") as archive:
        for folder, folders, files in os.walk(top):
            # a module ends where another begins
            folders[:] = [d for d in folders if not os.path.exists(os.path.join(folder, d, "go.mod"))]
            for file in files:
                path = os.path.join(folder, file)
                archive.write(path, f"{name}@{version()}/{os.path.relpath(path, top)}")


@pytest.fixture(scope="module")
def published(environment, tmp_path_factory):
    """An environment in which go fetches pawl from a folder, and the rest from what is there already."""
    proxy = tmp_path_factory.mktemp("proxy")
    for module in ("bindings/go", "bindings/go/pawlbeego"):
        publish(module, proxy)
    need_modules(environment, "bindings/go/pawlbeego")
    cache = subprocess.run(["go", "env", "GOMODCACHE"], env=environment, stdout=subprocess.PIPE,
                           text=True, check=True).stdout.strip()
    return dict(environment, GOPROXY=f"file://{proxy},file://{cache}/cache/download", GOSUMDB="off",
                GOMODCACHE=str(tmp_path_factory.mktemp("cache")), GOFLAGS="-buildvcs=false -trimpath -modcacherw")


def run_in(folder, env, command):
    return subprocess.run(["sh", "-c", command], cwd=folder, env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)


def test_a_version_is_fetched(published, tmp_path):
    """The line of the documentation that fetches a version, in an empty folder."""
    (tmp_path / "main.go").write_text(OWN_PROGRAM)
    lines = re.findall(r"^//\t(go get .*)$", page("bindings/go/doc.go"), re.M)
    assert lines == [f"go get {PATH}bindings/go@{version()}"]
    run = run_in(tmp_path, published, f"go mod init own && {lines[0]} && go run .")
    assert run.returncode == 0 and run.stdout.endswith("alone\n"), run.stdout
    assert "replace" not in (tmp_path / "go.mod").read_text()


BEEGO_PROGRAM = """package main

import (
	"fmt"

	"github.com/beego/beego/v2/server/web"

	pawl "github.com/pawl-lock/pawl/bindings/go"
	"github.com/pawl-lock/pawl/bindings/go/pawlbeego"
)

func main() {
	client, err := pawl.Open("memory:", nil)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	web.InsertFilterChain("/order/:id", pawlbeego.Filter(client, pawlbeego.Name("n")))
	fmt.Println("guarded")
}
"""


def test_the_beego_module_is_fetched(published, tmp_path):
    """It brings the binding of its own version, and its name is not that of Beego's packages."""
    (tmp_path / "main.go").write_text(BEEGO_PROGRAM)
    lines = re.findall(r"^//\t(go get .*)$", page("bindings/go/pawlbeego/open.go"), re.M)
    assert lines == [f"go get {PATH}bindings/go/pawlbeego@{version()}"]
    run = run_in(tmp_path, published, f"go mod init own && {lines[0]} && go run -mod=mod .")
    assert run.returncode == 0 and run.stdout.endswith("guarded\n"), run.stdout
    assert f"{PATH}bindings/go {version()}" in (tmp_path / "go.mod").read_text()


def test_the_measurement_runs(environment):
    """Its numbers are no matter here; without the tag peers it needs nothing but the binding."""
    run = go(dict(environment, GOPROXY="off"), BENCH, "run", ".", "-seconds", "0.01", "-rounds", "1", "memory:")
    assert run.returncode == 0, run.stdout
    assert re.findall(r"^(pawl.*?) +[\d.]+ us$", run.stdout, re.M) == ["pawl, one Lock", "pawl, NewLock().Do"]


def test_without_cgo_the_compiler_says_what_to_do(environment):
    build = go(dict(environment, CGO_ENABLED="0"), "bindings/go", "build", ".")
    assert build.returncode != 0
    assert "pawl_needs_cgo__set_CGO_ENABLED_to_1_and_have_a_C_compiler_and_libpawl_installed" in build.stdout


@pytest.mark.parametrize("module", [*MODULES, BENCH])
def test_one_name_everywhere(module):
    """The module's path, and the versions that modules ask of each other."""
    text = page(f"{module}/go.mod")
    expected = "beego-counter" if module.startswith("examples") else PATH + module
    assert re.search(r"^module (.*)$", text, re.M).group(1) == expected
    for asked in re.findall(rf"^\t{PATH}\S+ (v\S+)$", text, re.M):
        assert asked == version()


# ---- The pages ----------------------------------------------------------------------------------

PAGES = ["README.md", "README.zh-CN.md", "docs/modes.md", "docs/operations.md", "docs/tutorial.md", "docs/tutorial.zh-CN.md"]

AROUND = """package pages

import (
	"context"
	"net/http"
	"time"

	"github.com/beego/beego/v2/server/web"
	"github.com/beego/beego/v2/task"

	pawl "github.com/pawl-lock/pawl/bindings/go"
	"github.com/pawl-lock/pawl/bindings/go/pawlbeego"
	"github.com/pawl-lock/pawl/bindings/go/pawlmetrics"
)

var (
	ctx    = context.Background()
	client *pawl.Client
	_      = []interface{}{ctx, client, backup, report, train, time.Minute, web.Run, task.AddTask, pawlbeego.Open, http.Handle, pawlmetrics.Handler}
)

func backup(context.Context) error { return nil }
func report(context.Context) error { return nil }
func train(context.Context, int) error { return nil }
"""


def as_function(number, block):
    """A block of a page stands in a function that may fail; it drops no error."""
    end = "" if re.search(r"^return", block.rstrip().splitlines()[-1]) else "\treturn nil\n"
    return f"\nfunc example{number}() (err error) {{\n{block}{end}}}\n"


def test_the_pages_go(environment, tmp_path):
    """What the pages show in Go compiles, beside the Beego application."""
    module = "examples/beego-counter"
    need_modules(environment, module)
    blocks = []
    for page in PAGES:
        with open(os.path.join(SOURCE, page), encoding="utf-8") as text:
            found = re.findall(r"^```go\n(.*?)^```", text.read(), re.S | re.M)
        assert found, page
        blocks += found
    source = tmp_path / "pages.go"
    source.write_text(AROUND + "".join(as_function(i, b) for i, b in enumerate(blocks)), "utf-8")
    overlay = tmp_path / "overlay.json"
    there = os.path.join(SOURCE, module, "pages", "pages.go")  # as if it stood there
    overlay.write_text(json.dumps({"Replace": {there: str(source)}}))
    build = go(environment, module, "build", f"-overlay={overlay}", "./pages")
    assert build.returncode == 0, build.stdout


@pytest.mark.parametrize("module", MODULES)
def test_vet(environment, module):
    need_modules(environment, module)
    vet = go(environment, module, "vet", "./...")
    assert vet.returncode == 0, vet.stdout


@pytest.mark.parametrize("module", [*MODULES, BENCH])
def test_format(environment, module):
    wrong = subprocess.run(["gofmt", "-l", "."], cwd=os.path.join(SOURCE, module),
                           stdout=subprocess.PIPE, text=True, check=True)
    assert wrong.stdout == ""


@pytest.mark.parametrize("module", MODULES)
def test_race(environment, module):
    need_modules(environment, module)
    run = go(environment, module, "test", "-race", "-vet=off", "-count=1", "-v", "-timeout", "240s", "./...")
    print(run.stdout)
    assert run.returncode == 0, run.stdout
    skips = [line.strip() for line in run.stdout.splitlines() if "SKIP: " in line]
    if skips:
        pytest.skip("; ".join(skips))
