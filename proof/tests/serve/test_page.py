# SPDX-License-Identifier: MIT
"""The page in a real browser: it is alive, it trusts nobody's words, and it asks nobody else."""
import base64
import json
import os
import struct
from pathlib import Path

import pytest

from free_port import free_port
from harness import RedisServer, Rig
from serving import holds, lets_go, waits
from test_break import TOKENS

TOKEN = "0123456789abcdef-secret"

# What the page may not do is noted before its own scripts begin.
WITNESS = """window.broken = [];
document.addEventListener('securitypolicyviolation', (e) => broken.push(e.violatedDirective + ' ' + e.blockedURI));
window.addEventListener('error', (e) => broken.push(e.message));
window.addEventListener('unhandledrejection', (e) => broken.push('' + e.reason));"""


class Page:
    """A page of pawl serve, which may do nothing that is forbidden."""

    def __init__(self, window, served, width=1280, height=860, language="en"):
        self.window, self.served = window, served
        before = WITNESS + f"try {{ localStorage.setItem('pawl-language', '{language}'); }} catch (e) {{}}"
        self.script = window.call("Page.addScriptToEvaluateOnNewDocument", window.session, source=before)["identifier"]
        window.call("Page.enable", window.session)
        window.call("Emulation.setDeviceMetricsOverride", window.session, width=width, height=height,
                    deviceScaleFactor=1, mobile=width < 600)
        window.open(served.url)
        self.until(f"location.href === '{served.url}' && document.readyState === 'complete'", "it is loaded")

    def run(self, script):
        return self.window.run(script)

    def until(self, script, what):
        self.window.until(script, what)

    def text(self, selector):
        return self.run(f"(document.querySelector({json.dumps(selector)}) || {{}}).innerText")

    def shows(self, selector, part):
        self.until(f"((document.querySelector({json.dumps(selector)}) || {{}}).innerText || '')"
                   f".includes({json.dumps(part)})", f"{selector} shows {part}")

    def keys(self, *names):
        self.until(f"JSON.stringify([...document.querySelectorAll('.row .key > bdi')].map(e => e.textContent))"
                   f" === {json.dumps(json.dumps(list(names), separators=(',', ':'), ensure_ascii=False))}",
                   f"the keys {names}")

    def count(self, selector):
        return self.run(f"document.querySelectorAll({json.dumps(selector)}).length")

    def click(self, selector):
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def type(self, selector, text):
        self.run(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.value = {json.dumps(text)};"
                 "e.dispatchEvent(new Event('input', {bubbles: true})); e.dispatchEvent(new Event('change')); })()")

    def choose(self, key):
        self.run(f"[...document.querySelectorAll('.row')].find(e => e.querySelector('bdi').textContent"
                 f" === {json.dumps(key)}).click()")

    def end(self):
        """Nothing was forbidden, and nobody else was asked."""
        assert self.run("window.broken") == []
        asked = self.run("performance.getEntriesByType('resource').map(e => e.name)")
        assert asked and all(name.startswith(self.served.url) for name in asked), asked

    def close(self):
        self.window.call("Page.removeScriptToEvaluateOnNewDocument", self.window.session, identifier=self.script)
        self.window.open("about:blank")


@pytest.fixture
def open_page(window):
    pages = []

    def start(*args, **how):
        pages.append(Page(window, *args, **how))
        return pages[-1]
    yield start
    for page in pages:
        page.end()
        page.close()


def test_it_is_alive(rig, serve, open_page):
    page = open_page(serve(rig))
    page.shows("#rows", "No lock is held")
    holder = holds(rig, "app:k")
    page.keys("app:k")
    page.shows(".row .who", "@")
    page.shows(".row .bar", " left")
    assert page.run("parseFloat(document.querySelector('.row .bar i').style.width)") > 0
    waiter = waits(rig, "app:k")
    page.shows(".row .queue", "1 waiting")
    page.shows("#sum-waiting", "1")
    page.choose("app:k")
    page.shows("#d-queue li", "@")
    page.shows("#d-body .card", "Fence")
    first = page.text("#d-body .card")
    lets_go(holder)
    waiter.expect("held")
    page.shows("#d-body", "Nobody waits.")
    assert page.text("#d-body .card") != first
    lets_go(waiter)
    page.shows("#d-body", "nobody")
    page.keys()


def test_the_bar_shrinks_with_the_lease(rig, serve, open_page):
    """Also from one look to the next: the whole bar is the most that was seen left, not what is left now."""
    holder = holds(rig, "k", "-t", "20s")
    page = open_page(serve(rig))
    page.until("parseFloat((document.querySelector('.row .bar i') || {style: {}}).style.width) < 85",
               "a part of the lease has passed")
    assert "of at least " in page.run("document.querySelector('.row .bar').title")
    lets_go(holder)


def test_search_sort_and_the_tree(sqlite, serve, open_page):
    for key in ("b:x:1", "b:x:2", "a:1", "c"):
        holds(sqlite, key)
    waits(sqlite, "c")
    page = open_page(serve(sqlite))
    page.keys("c", "a:1", "b:x:1", "b:x:2")
    page.type("#sort", "name")
    page.keys("a:1", "b:x:1", "b:x:2", "c")
    page.type("#search", "X:")
    page.keys("b:x:1", "b:x:2")
    page.type("#search", "")
    page.keys("a:1", "b:x:1", "b:x:2", "c")
    assert page.text("#groups button").split() == ["b:", "2"]
    page.click("#groups button")
    page.keys("b:x:1", "b:x:2")
    page.click("#groups button")
    page.shows("#crumbs", "x:")
    page.keys("b:x:1", "b:x:2")
    page.click("#crumbs button")
    page.keys("a:1", "b:x:1", "b:x:2", "c")


def test_what_others_wrote_is_text(redis, serve, open_page):
    evil = "<img src=x onerror=broken.push('owned')>"
    holds(redis, evil, "--owner", "<b>" + evil + "\u202e")
    waits(redis, evil, "--owner", "\u202e<i>waiter")
    page = open_page(serve(redis))
    page.keys(evil)
    page.choose(evil)
    page.shows("#d-queue li", "<i>waiter")
    assert page.run("document.querySelectorAll('img, main b b, main i i').length") == 0


def test_the_store_goes_and_comes_back(redis, serve, open_page):
    holds(redis, "k", "-t", "60s")
    page = open_page(serve(redis, "--store-timeout", "300ms"))
    page.keys("k")
    page.shows(".row .bar", "left")
    redis.server.stop()
    page.until("!document.getElementById('trouble').hidden", "it says that the store is away")
    for selector in ("#sum-held", "#sum-waiting", "#sum-oldest", ".row .bar"):
        page.shows(selector, "unknown")
    page.until("document.getElementById('asof').className === 'old'", "the picture is old")
    redis.server.cont()
    page.until("document.getElementById('trouble').hidden", "it is back")
    page.shows(".row .bar", "left")


def test_a_server_that_is_gone_is_noticed(sqlite, serve, open_page):
    holds(sqlite, "k")
    served = serve(sqlite)
    page = open_page(served)
    page.keys("k")
    served.end()
    served.errors = open(served.log, "a", encoding="utf-8")
    page.shows("#trouble", "does not answer")
    page.shows(".row .bar", "unknown")


def test_the_token_is_asked_for(sqlite, serve, open_page, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    holds(sqlite, "k")
    page = open_page(serve(sqlite, "--token-file", tmp_path / "token", base="/locks"))
    page.until("!document.getElementById('login').hidden", "the token is asked for")
    page.type("#token", "wrong")
    page.click("#login button")
    page.shows("#refused", "That is not the token.")
    page.type("#token", TOKEN)
    page.click("#login button")
    page.keys("k")
    assert page.run("document.cookie") == "" and TOKEN not in page.run("location.href")
    page.click("#logout")
    page.until("!document.getElementById('login').hidden && document.getElementById('main').hidden", "it is locked")


@pytest.mark.parametrize("language, words", [("en", ("Held", "as of")), ("zh", ("已持有", "前的状态"))])
def test_on_a_phone(language, words, sqlite, serve, open_page):
    holds(sqlite, "a:very:long:name:" + 150 * "x")
    waits(sqlite, "a:very:long:name:" + 150 * "x")
    page = open_page(serve(sqlite), width=360, height=740, language=language)
    page.shows("#sums", words[0])
    page.shows("#asof", words[1])
    page.until("document.querySelectorAll('.row').length === 1", "the lock")
    page.click(".row")
    page.until("document.querySelectorAll('#d-queue li').length === 1", "the queue")
    assert page.run("document.documentElement.scrollWidth") <= 360
    assert page.run("document.documentElement.lang") == language
    page.click("#language")
    page.until(f"document.documentElement.lang !== '{language}'", "the other language")


# ---- Beside the list -------------------------------------------------------------------------


def log_in(page, token=TOKEN):
    page.until("!document.getElementById('login').hidden", "the token is asked for")
    page.type("#token", token)
    page.click("#login button")


def test_the_timeline(sqlite, serve, open_page):
    page = open_page(serve(sqlite))
    page.shows("#rows", "No lock is held")
    holder = holds(sqlite, "app:k", "--owner", "<b>ann", "-t", "60s")
    page.keys("app:k")
    waiter = waits(sqlite, "app:k", "--owner", "ben", "-t", "60s")
    lets_go(holder)
    waiter.expect("held")
    page.click("#tab-timeline")
    page.shows("#view .passed", "It went from <b>ann to ben.")
    page.shows("#view", "Watched since")
    page.shows("#view .taken", "<b>ann took it.")
    page.type("#search", "nobody of this name")
    page.shows("#view", "Nothing has changed hands yet.")
    page.type("#search", "BEN")
    page.until("document.querySelectorAll('#view .past').length === 1", "only what the search says")
    page.click("#view .passed button")
    page.shows("#d-past .passed", "ben")
    page.until("document.querySelectorAll('#d-past .strip i').length >= 4 && document.querySelectorAll('#d-past .strip .unsure').length > 0",
               "the strip, with what lies between two looks")
    page.shows("#d-past .passed", " – ")  # between two looks
    lets_go(waiter)
    page.shows("#d-past .freed", "ben does not hold it any more")


def test_breaking(rig, serve, open_page, tmp_path):
    (tmp_path / "tokens").write_text(TOKENS)
    (tmp_path / "tokens").chmod(0o600)
    holder = holds(rig, "app:k")
    page = open_page(serve(rig, "--token-file", tmp_path / "tokens", "--allow-break", tmp_path / "log"))
    log_in(page, "0123456789abcdef-ann")
    page.keys("app:k")
    page.choose("app:k")
    page.until("!document.getElementById('break').hidden", "it may be broken")
    fence = page.run("detail.fence")
    assert page.run("document.getElementById('b-fence').value") == ""
    page.type("#b-fence", "12345")
    page.type("#b-reason", "it hangs")
    page.run("document.getElementById('break').requestSubmit()")
    page.shows("#b-result", "It is not broken. The lock is free, or its fence is not 12345: look again.")
    page.type("#b-fence", "twelve")
    page.type("#b-reason", "it hangs")
    page.run("document.getElementById('break').requestSubmit()")
    page.shows("#b-result", "the fence is a number")
    assert rig.show("app:k")["fence"] == int(fence)
    page.type("#b-fence", fence)
    page.run("document.getElementById('break').requestSubmit()")
    assert page.run("document.getElementById('b-result').textContent").startswith("It is not broken")  # no reason, so it was not sent
    page.type("#b-reason", "it hangs <i>")
    page.run("document.getElementById('break').requestSubmit()")
    page.shows("#b-result", "It is broken.")
    page.shows("#d-past .broken", "broken by ann. “it hangs <i>”")
    page.until("document.getElementById('break').hidden", "nobody holds it")
    assert holder.wait() == 76
    assert [json.loads(line).get("result") for line in (tmp_path / "log").read_text().splitlines()] == [None, "not_broken", None, "broken"]


def test_one_lock_is_asked_for_between_looks(sqlite, serve, open_page):
    """Looks at many locks are minutes apart; the one that is open stays alive."""
    holder = holds(sqlite, "k")
    page = open_page(serve(sqlite, "-i", "1h"))
    page.keys("k")
    page.choose("k")
    page.shows("#d-body", "Nobody waits.")
    waiter = waits(sqlite, "k")
    page.shows("#d-queue li", "@")
    lets_go(holder)
    lets_go(waiter)


def test_nothing_is_broken_where_it_is_not_allowed(sqlite, serve, open_page):
    holds(sqlite, "k")
    page = open_page(serve(sqlite))
    page.keys("k")
    page.choose("k")
    page.shows("#d-body .card", "Fence")
    assert page.run("document.getElementById('break').hidden")


@pytest.mark.parametrize("language, words", [("en", ("ann", "waits for", "up to 1")), ("zh", ("ann", "等待", "最多 1"))])
def test_the_other_views_on_a_phone(language, words, sqlite, serve, open_page):
    holds(sqlite, "a:1", "--owner", "ann")
    holds(sqlite, "b:1", "--owner", "ben")
    waits(sqlite, "b:1", "--owner", "ann")
    waits(sqlite, "a:1", "--owner", "ben")
    page = open_page(serve(sqlite), width=360, height=740, language=language)
    page.until("last && last.deadlocks === 1", "a circle that stays")
    page.shows("#tab-deadlocks .flag", "1")
    page.click("#tab-deadlocks")
    page.shows("#view .circle", words[0])
    page.shows("#view .circle", words[1])
    page.click("#tab-contention")
    page.shows("#view .heat", words[2])
    assert page.count("#view .heat") == 2 and page.count("#view .heat:nth-of-type(1) .cell") == 60
    assert page.count("#view .cell.h5") >= 1 and page.count("#view .cell.hnone") >= 1
    page.click("#tab-doctor")
    page.until("document.querySelectorAll('#view .finding').length > 0", "the findings")
    for tab in ("locks", "timeline", "contention", "deadlocks", "doctor"):
        page.click("#tab-" + tab)
        assert page.run("document.documentElement.scrollWidth") <= 360, tab


def test_a_key_without_a_ttl_and_many_pages(redis, serve, open_page):
    redis.server.cli("EVAL", "for i = 1, 2000 do redis.call('SET', 'pawl:app:' .. i, 'x') end", "0")
    page = open_page(serve(redis))
    page.shows("#range", "1–50 of 2,000")
    assert page.count(".row") == 50
    page.shows(".row .key", "no ttl")
    page.shows(".row .key", "not pawl")
    page.click("#next")
    page.shows("#range", "51–100 of 2,000")
    assert page.count(".row") == 50


@pytest.mark.parametrize("theme, light", [("dark", False), ("light", True)])
def test_dark_and_light(theme, light, sqlite, serve, open_page):
    page = open_page(serve(sqlite))
    page.shows("#rows", "No lock is held")
    while page.run("document.documentElement.dataset.theme") != theme:
        page.click("#theme")
    red = page.run("parseInt(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0])")
    assert (red > 128) is light


# ---- The picture in the README ---------------------------------------------------------------

SOURCE = Path(__file__).resolve().parents[3]
PICTURE = SOURCE / "docs/pictures/serve.png"
PICTURE_SIZE = (1200, 900)


@pytest.fixture
def plain_redis(tmp_path):
    """A store whose address may be shown to everybody."""
    port = free_port()
    server = RedisServer(tmp_path, "--port", str(port))
    rig = Rig(f"redis://127.0.0.1:{port}", tmp_path)
    yield rig
    rig.close()
    server.end()


def play_for_the_picture(rig, page):
    """The deploy's lock goes from hand to hand; others hold, read, share and wait."""
    owners = ["ann@ci1 2044 deploy.sh", "ben@ci2 811 deploy.sh", "cid@ci1 2101 deploy.sh"]
    holder = holds(rig, "deploy:web", "--owner", owners[0])
    page.keys("deploy:web")
    for i, owner in enumerate(owners[1:]):
        waiter = waits(rig, "deploy:web", "--owner", owner)
        lets_go(holder)
        waiter.expect("held")
        page.until(f"last.rows.some(row => row.owner === '{owner}')", f"hand-over {i}")
        holder = waiter
    for key, owner, *how in (("deploy:db", "dan@ops 90 migrate"), ("report:daily", "web@app2 799 report", "-s"),
                             ("report:daily", "web@app3 802 report", "-s"), ("build:slots", "ci@build3 90 make", "-N", "8"),
                             ("build:slots", "ci@build4 17 make", "-N", "8"), ("nightly:backup", "ann@db1 4711 backup.sh"),
                             ("mail:queue", "mail@mx1 77 sender"), ("order:4711", "shop@app1 31 checkout")):
        holds(rig, key, "--owner", owner, "-t", f"{20 + len(owner)}s", *how)
    for i, (key, owner) in enumerate((("deploy:web", "eve@ci2 902 deploy.sh"), ("deploy:web", "fay@ci3 55 deploy.sh"),
                                      ("order:4711", "shop@app2 44 refund"))):
        waits(rig, key, "--owner", owner, count=2 if i == 1 else 1)


def test_the_picture(plain_redis, serve, open_page):
    """With PAWL_PICTURES=1 it is made anew. A picture is not compared by its dots: fonts differ."""
    width, height = PICTURE_SIZE
    page = open_page(serve(plain_redis), width=width, height=height)
    page.shows("#rows", "No lock is held")
    play_for_the_picture(plain_redis, page)
    page.until("last.sums && last.sums.waiting === 3 && last.rows.length === 7", "all of it")
    page.choose("deploy:web")
    page.shows("#d-past", "took it.")
    page.until("document.querySelectorAll('#d-queue li').length === 2", "the queue")
    page.run("document.getElementById('language').hidden = true")  # its sign needs a font that is not everywhere
    page.window.call("Emulation.setScrollbarsHidden", page.window.session, hidden=True)
    shot = base64.b64decode(page.window.call("Page.captureScreenshot", page.window.session, format="png")["data"])
    page.window.call("Emulation.setScrollbarsHidden", page.window.session, hidden=False)
    if os.environ.get("PAWL_PICTURES"):
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_bytes(shot)
    for data in (shot, PICTURE.read_bytes()):
        assert data.startswith(b"\x89PNG\r\n\x1a\n") and struct.unpack(">II", data[16:24]) == PICTURE_SIZE
        assert 20000 < len(data) < 250000
    for readme in ("README.md", "README.zh-CN.md"):
        assert "(docs/pictures/serve.png)" in (SOURCE / readme).read_text("utf-8")
