# SPDX-License-Identifier: MIT
"""The page in a real browser: it is alive, it can add, and it trusts nobody's label."""
import signal



def of(name):
    return f"(document.getElementById('{name}') || {{}}).textContent"


def test_the_page_is_alive(fleet, browser):
    instance, other = fleet.start(), fleet.start()
    for _ in range(3):
        instance.get("/add")
    browser.open(instance.url)
    browser.until(f"{of('value')} === '3'", "the counter is shown")
    assert browser.run(of("instance")) == "counter 1"
    browser.until(f"{of('holder')} === 'nobody'", "the last release is shown")
    for _ in range(1231):
        other.get("/add")
    browser.until(f"{of('value')} === '1,234'", "the other's increments are shown")

    holder = fleet.hold("the holder")
    browser.until(f"{of('holder')} === 'the holder'", "the holder is shown")
    fence = browser.run(of("fence"))
    assert int(fence) > int(browser.run(of("seen")))
    assert float(browser.run(of("left")).split()[0]) > 0
    fleet.hold("the first in line", ready=False)
    browser.until("document.querySelectorAll('#queue li').length === 1", "the queue is shown")
    assert browser.run(of("queue")).startswith("the first in line, for ")
    assert browser.run(of("waiters")) == "1 waiting"
    holder.stdin.close()
    browser.until(f"{of('holder')} === 'the first in line'", "the hand-off is shown")
    browser.until(f"{of('fence')} > '{fence}'", "the new fence is shown")
    browser.until("document.querySelectorAll('#queue li').length === 0", "nobody waits")


def beside(label):
    """Whether the mark stands still beside this one's line."""
    return """(() => {
        const line = [...document.querySelectorAll('#track div')].find((e) => e.firstChild.textContent === LABEL);
        const mark = document.getElementById('baton');
        if (!mark || mark.className !== '' || !line || mark.getAnimations().length) return false;
        const at = mark.getBoundingClientRect(), place = line.getBoundingClientRect();
        return place.top < at.top && at.bottom < place.bottom;
    })()""".replace("LABEL", repr(label))


def test_the_baton_goes_to_the_next_one(on_sqlite, browser):
    instance = on_sqlite.start()
    first = on_sqlite.hold("the first")
    browser.open(instance.url)
    browser.until(beside("the first"), "it is beside the holder")
    assert browser.run(of("moves")) == "no hand-over seen yet"
    browser.run("window.moved = 0; document.getElementById('baton')"
                ".addEventListener('transitionend', (e) => { moved += e.propertyName === 'transform'; })")
    on_sqlite.hold("the second", ready=False)
    browser.until(f"{of('track')}.includes('the secondwaits')", "the next one is shown")
    first.stdin.close()
    browser.until(f"moved > 0 && {beside('the second')}", "it has moved to the next one")
    assert browser.run(of("moves")) == "at least 1 hand-over seen"
    assert browser.run("document.querySelector('#lease i').getBoundingClientRect().width") > 0
    assert browser.run("getComputedStyle(document.querySelector('#lease i')).position") == "absolute", "serve's own bar"


def test_the_button_adds_one(on_sqlite, browser):
    instance = on_sqlite.start()
    browser.open(instance.url)
    browser.until(f"{of('value')} === '0'", "it is loaded")
    browser.run("document.getElementById('add').click()")
    browser.until(f"{of('answer')} === 'It is 1 now.'", "the answer is shown")
    browser.until(f"{of('value')} === '1'", "the counter is shown")
    assert instance.get("/counter") == "1"


def test_a_label_is_text(on_sqlite, browser):
    evil = "<img src=x onerror='document.title=\"owned\"'>"
    instance = on_sqlite.start()
    on_sqlite.hold(evil)
    browser.open(instance.url)
    browser.until(f"{of('holder')} && !['nobody', '–'].includes({of('holder')})", "a holder is shown")
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert browser.run("document.title") == "pawl counter"
    assert "img src=x" in browser.run(of("holder"))


def test_a_label_turns_only_itself(on_sqlite, browser):
    """What follows a label that turns the direction of writing stands behind it all the same."""
    instance = on_sqlite.start()
    on_sqlite.hold("the holder")
    on_sqlite.hold("\u202eowner", ready=False)
    browser.open(instance.url)
    browser.until("document.querySelectorAll('#queue li').length === 1", "the queue is shown")
    owner, end = browser.run("""(() => {
        const texts = document.createTreeWalker(document.querySelector('#queue li'), 4), lefts = [];
        for (let text; (text = texts.nextNode());)
            for (let i = 0; i < text.length; i++) {
                const range = document.createRange();
                range.setStart(text, i);
                range.setEnd(text, i + 1);
                lefts.push(range.getBoundingClientRect().left);
            }
        return [lefts[1], lefts[lefts.length - 1]];
    })()""")
    assert owner < end


def test_an_instance_that_is_gone_is_noticed(on_sqlite, browser):
    instance = on_sqlite.start()
    browser.open(instance.url)
    browser.until(f"{of('value')} === '0'", "it is loaded")
    instance.end()
    on_sqlite.instances.remove(instance)
    browser.until(f"{of('trouble')} === 'This instance does not answer.'", "it is said")
    for field in ("value", "holder", "waiters"):
        browser.until(f"{of(field)} === 'unknown'", f"{field} is old news")


def test_what_is_unknown_is_called_so(on_redis, browser):
    """The store is silent: the last holder, or nobody, would be a guess."""
    instance = on_redis.start()
    on_redis.hold("the holder")
    browser.open(instance.url)
    browser.until(f"{of('holder')} === 'the holder'", "the holder is shown")
    on_redis.redis.signal(signal.SIGSTOP)
    for field in ("value", "holder", "waiters", "left", "fence", "seen"):
        browser.until(f"{of(field)} === 'unknown'", f"{field} is unknown")
    assert browser.run("document.getElementById('baton').className") == "unknown"
    browser.until(f"{of('track')}.includes('the holderunknown')", "nobody has the lock for certain")
    assert browser.run(of("trouble"))
    on_redis.redis.signal(signal.SIGCONT)
    browser.until(f"{of('value')} === '0'", "it is known again")
    browser.until(f"{of('trouble')} === ''", "the trouble is over")


def test_nothing_comes_from_elsewhere(on_sqlite, browser):
    instance = on_sqlite.start()
    browser.open(instance.url)
    browser.until(f"{of('value')} === '0'", "it is loaded")
    hosts = browser.run("performance.getEntriesByType('resource').map(e => new URL(e.name).host)")
    assert set(hosts) <= {f"127.0.0.1:{instance.port}"}
    status, text, headers = instance.ask("/")
    assert status == 200 and "default-src 'none'" in headers["Content-Security-Policy"]
    assert "http://" not in text and "https://" not in text
