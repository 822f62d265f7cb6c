# SPDX-License-Identifier: MIT
"""The Go binding, its Beego package and the Beego application, each against real stores."""
import json
import os
import re
import shutil
import subprocess

import pytest

SOURCE = os.environ["PAWL_SOURCE"]
BUILD = os.environ["PAWL_BUILD"]
FLAVOUR = os.environ.get("PAWL_TEST_FLAVOUR", "plain")

pytestmark = [
    pytest.mark.skipif(shutil.which("go") is None, reason="there is no go"),
    pytest.mark.skipif(FLAVOUR != "plain", reason=f"Go's runtime does not load a library built for {FLAVOUR}"),
]

MODULES = ["bindings/go", "bindings/go/beego", "examples/beego-counter"]


@pytest.fixture(scope="module")
def environment():
    env = dict(os.environ)
    env["PKG_CONFIG_PATH"] = os.path.join(BUILD, "meson-uninstalled")
    env["LD_LIBRARY_PATH"] = BUILD
    env["CGO_CFLAGS"] = f"-g -O1 -I{SOURCE}/include"
    env["GOFLAGS"] = "-buildvcs=false"
    env["PAWL_TEST_CONFIG_DUMP"] = os.path.join(BUILD, "tests", "config", "test-config-dump")
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

	"pawl.example/pawl"
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
    """The lines of the package's documentation, in an empty folder."""
    (tmp_path / "main.go").write_text(OWN_PROGRAM)
    with open(os.path.join(SOURCE, "bindings/go/doc.go"), encoding="utf-8") as doc:
        lines = re.findall(r"^//\t(go mod .*)$", doc.read(), re.M)
    assert len(lines) == 2
    commands = ["go mod init own", *lines, "go run ."]
    script = " && ".join(commands).replace("/path/to/pawl", SOURCE)
    run = subprocess.run(["sh", "-c", script], cwd=tmp_path, env=dict(environment, GOPROXY="off"),
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert (run.returncode, run.stdout) == (0, "alone\n"), run.stderr


PAGES = ["README.zh-CN.md", "docs/tutorial.md", "docs/tutorial.zh-CN.md"]

AROUND = """package pages

import (
	"context"
	"time"

	"github.com/beego/beego/v2/server/web"
	"github.com/beego/beego/v2/task"

	"pawl.example/pawl"
	"pawl.example/pawl/beego"
)

var (
	ctx    = context.Background()
	client *pawl.Client
	_      = []interface{}{ctx, client, backup, report, time.Minute, web.Run, task.AddTask, beego.Open}
)

func backup(context.Context) error { return nil }
func report(context.Context) error { return nil }
"""


def as_function(number, block):
    """A block of a page stands in a function; what it does with its err, it leaves to the reader."""
    ignored = "\t_ = err\n" if re.search(r"^\w+, err :=", block, re.M) else ""
    return f"\nfunc example{number}() error {{\n{block}{ignored}\treturn nil\n}}\n"


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


@pytest.mark.parametrize("module", MODULES)
def test_format(environment, module):
    wrong = subprocess.run(["gofmt", "-l", "."], cwd=os.path.join(SOURCE, module),
                           stdout=subprocess.PIPE, text=True, check=True)
    assert wrong.stdout == ""


@pytest.mark.parametrize("module", MODULES)
def test_race(environment, module):
    need_modules(environment, module)
    run = go(environment, module, "test", "-race", "-count=1", "-v", "-timeout", "240s", "./...")
    print(run.stdout)
    assert run.returncode == 0, run.stdout
    skips = [line.strip() for line in run.stdout.splitlines() if "SKIP: " in line]
    if skips:
        pytest.skip("; ".join(skips))
