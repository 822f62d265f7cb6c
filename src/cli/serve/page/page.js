"use strict";
// Whatever others have written (names, labels, reasons) becomes text nodes only. What is not known is null in
// the data, and is shown as unknown.
const at = (id) => document.getElementById(id);
const saved = (name) => { try { return localStorage.getItem("pawl-" + name); } catch (e) { return null; } };
const save = (name, value) => { try { localStorage.setItem("pawl-" + name, value); } catch (e) { /* not kept, then */ } };

let language = saved("language") || (navigator.language.startsWith("zh") ? "zh" : "en");
let words = WORDS[language] || WORDS.en;
const DETAIL_MS = 2000;
const view = { prefix: "", search: "", sort: "waiting", offset: 0, limit: 50 };
let source = null, last = null, lastAt = 0, lost = false;
let chosen = null, detail = null, detailAt = 0, past = null, asking = false;

// ---- Small parts ------------------------------------------------------------------------------

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

// A foreign text that may turn the direction of writing turns itself only.
const told = (text) => { const element = document.createElement("bdi"); element.textContent = text; return element; };

function span(ms) {
  if (ms === null || ms === undefined) return words.unknown;
  const s = Math.max(0, ms) / 1000;
  if (s < 10) return s.toFixed(1) + " s";
  if (s < 120) return Math.round(s) + " s";
  if (s < 7200) return Math.round(s / 60) + " min";
  if (s < 172800) return Math.round(s / 3600) + " h";
  return Math.round(s / 86400) + " d";
}

const number = (n) => n === null || n === undefined ? words.unknown : n.toLocaleString(language);
const passed = () => performance.now() - lastAt;
const keyQuery = (row) => row.key_hex ? "key_hex=" + row.key_hex : "key=" + encodeURIComponent(row.key);
const sameKey = (a, b) => a && b && a.key === b.key && (a.key_hex || "") === (b.key_hex || "");

function who(one) {
  if (one.host === undefined) return told(one.owner || words.unknown);
  const element = make("span", "", told(`${one.user}@${one.host}`), " ");
  element.append(make("span", "soft", told(`${one.pid} ${one.program}`)));
  return element;
}

function flags(row) {
  const list = [];
  if (row.held && row.mode && (row.mode !== "exclusive" || row.holders > 1)) {
    const count = row.units && row.capacity ? ` ${row.units}/${row.capacity}` : row.holders > 1 ? ` ×${row.holders}` : "";
    list.push(make("span", "flag mode", (words.mode[row.mode] || words.unknown) + count));
  }
  if (row.foreign) list.push(make("span", "flag warn", words.foreign));
  if (row.held && row.endless) list.push(make("span", "flag bad", words.endless));
  if (row.broken_by !== undefined) list.push(make("span", "flag bad", words.broken));
  return list;
}

// ---- The list ----------------------------------------------------------------------------------

// A store tells what is left of a lease, not how long it is. So the bar is full at the most that was ever
// seen left of this lease: it is at least that long, and a renewal shows when it comes.
let longest = new Map();

function lease(row) {
  return JSON.stringify([row.key, row.fence]);
}

function remember(rows) {
  const seen = new Map();
  for (const row of rows)
    if (row.held) seen.set(lease(row), Math.max(row.remaining_ms || 0, longest.get(lease(row)) || 0));
  longest = seen;
}

function bar(row, known) {
  if (!row.held) return make("div", "bar none", make("b", "", words.free));
  const left = row.remaining_ms === null ? null : row.remaining_ms - passed();
  const text = !known ? words.unknown : row.endless ? words.endless : left <= 0 ? words.over : words.left(span(left));
  const box = make("div", "bar"), part = make("i"), most = longest.get(lease(row));
  part.style.width = (known && most && left > 0 ? Math.min(100, 100 * left / most) : 0) + "%";
  if (most) box.title = words.atleast(span(most));
  box.append(part, make("b", "", text));
  return box;
}

function rowOf(row, known) {
  const button = make("button", "row" + (sameKey(row, chosen) ? " chosen" : "") + (known ? "" : " stale"));
  button.type = "button";
  button.setAttribute("role", "listitem");
  const queue = make("span", "queue" + (row.waiting ? " some" : ""), row.waiting ? words.waits(number(row.waiting)) : "–");
  if (row.wait_ms !== null && row.waiting) queue.title = span(row.wait_ms + passed());
  button.append(make("span", "key", told(row.key), ...flags(row)),
                make("span", "who", row.held ? who(row) : words.nobody), queue, bar(row, known));
  button.addEventListener("click", () => choose(row));
  return button;
}

function drawGroups() {
  at("groups").replaceChildren(...last.groups.filter((group) => !group.prefix_hex).map((group) => {
    const button = make("button", "", told(group.prefix.slice(view.prefix.length)),
                        make("span", "soft", ` ${number(group.locks)}` + (group.waiting ? ` · ${words.waits(number(group.waiting))}` : "")));
    button.type = "button";
    button.addEventListener("click", () => go({ prefix: group.prefix }));
    return button;
  }));
  const steps = view.prefix.split(":").slice(0, -1);
  at("crumbs").replaceChildren(...["", ...steps].map((step, i) => {
    const button = make("button", "", i ? told(step + ":") : words.all);
    button.type = "button";
    button.addEventListener("click", () => go({ prefix: steps.slice(0, i).map((s) => s + ":").join("") }));
    return button;
  }));
  at("crumbs").hidden = !steps.length;
}

function drawSums() {
  const sums = last.sums || {};
  const oldest = !last.sums ? words.unknown : sums.queues ? span(sums.oldest_wait_ms) : "–";
  const pairs = [["held", number(sums.held)], ["holders", number(sums.holders)], ["waiting", number(sums.waiting)],
                 ["queues", number(sums.queues)], ["changed", number(sums.changed)], ["oldest", oldest]];
  at("sums").replaceChildren(...pairs.map(([name, text]) => {
    const value = make("dd", "", text);
    value.id = "sum-" + name;
    return make("div", "", make("dt", "", words[name]), value);
  }));
}

function drawList() {
  const known = last.store.known && !lost;
  at("rows").replaceChildren(...last.rows.map((row) => rowOf(row, known)));
  if (!last.rows.length)
    at("rows").append(make("p", "soft", last.store.as_of_ms === null ? words.unknown : words.none));
  const end = last.offset + last.rows.length;
  at("pages").hidden = last.total <= view.limit && !last.offset;
  at("range").textContent = words.range(last.rows.length ? last.offset + 1 : 0, end, number(last.total));
  at("back").disabled = !last.offset;
  at("next").disabled = end >= last.total;
}

function drawHead() {
  const store = last && last.store;
  at("asof").className = !store || lost || !store.known ? "old" : "";
  at("asof").textContent = !store || store.as_of_ms === null ? words.never : words.asof(span(store.as_of_ms + passed()));
  at("store").textContent = store ? store.url + (store.prefix ? " · " + store.prefix : "") : "";
  const trouble = lost ? words.gone : store && store.reason ? words.away(store.reason) : "";
  at("trouble").textContent = trouble;
  at("trouble").hidden = !trouble;
}

function draw() {
  drawHead();
  if (!last) return;
  drawSums();
  drawGroups();
  drawList();
  drawTabs();
  drawView();
  drawDetail();
}

// ---- One lock -----------------------------------------------------------------------------------

function pairs(...list) {
  const element = make("dl", "pairs");
  for (const [title, value] of list)
    if (value !== undefined && value !== null) element.append(make("dt", "", title), make("dd", "", value));
  return element;
}

const instant = (s) => s === null || s === undefined ? words.unknown
  : `${new Date(s * 1000).toLocaleString(language)} (${span(Date.now() - s * 1000)})`;

function holderCard(one) {
  const old = performance.now() - detailAt;
  const left = one.remaining_ms < 0 ? words.endless : one.remaining_ms - old <= 0 ? words.over : span(one.remaining_ms - old);
  return make("div", "card", pairs(
    [words.label, told(one.owner || words.unknown)], [words.host, one.host && told(one.host)], [words.pid, one.pid && String(one.pid)],
    [words.user, one.user && told(one.user)], [words.program, one.program && told(one.program)],
    [words.trace, one.trace_id], [words.state, words.mode[one.mode] || words.unknown], [words.units, one.units ? String(one.units) : null],
    [words.fence, one.fence], [words.remaining, left]));
}

function drawDetail() {
  at("detail").hidden = !chosen;
  if (!chosen) return;
  at("d-key").textContent = chosen.key;
  drawBreak();
  at("d-past").replaceChildren(...drawPast(past));
  if (!detail) {
    at("d-body").replaceChildren(make("p", "soft", words.unknown));
    return;
  }
  if (detail.error) {
    at("d-body").replaceChildren(make("p", "soft", words.away(detail.reason)));
    return;
  }
  const old = performance.now() - detailAt;
  const holders = detail.holders.length ? detail.holders
    : detail.held ? [{ ...detail, mode: undefined, remaining_ms: detail.remaining_ms === null ? -1 : detail.remaining_ms }] : [];
  const body = [make("div", "soft", words.asof(span(old)), ...flags({ ...detail, endless: detail.remaining_ms === -1 })),
                pairs([words.fence, detail.fence], [words.since, detail.held ? instant(detail.since_s) : undefined])];
  if (detail.broken_by !== undefined)
    body.push(make("p", "", told(words.brokenby(detail.broken_by, span(detail.broken_ms + old)))));
  body.push(make("h3", "", words.holder + (detail.holder_count > 1 ? ` (${number(detail.holder_count)})` : "")));
  body.push(...(holders.length ? holders.map(holderCard) : [make("p", "soft", words.nobody)]));
  body.push(make("h3", "", `${words.queue} (${number(detail.waiting)})`));
  const queue = make("ol");
  queue.id = "d-queue";
  for (const one of detail.waiters)
    queue.append(make("li", "", who(one), " ", make("span", "soft", words.forspan(span(one.age_ms + old)),
      one.mode !== "exclusive" ? ", " + (words.mode[one.mode] || words.unknown) : "")));
  body.push(detail.waiting ? queue : make("p", "soft", words.noqueue));
  if (detail.waiting > detail.waiters.length)
    body.push(make("p", "soft", words.more(number(detail.waiting - detail.waiters.length))));
  at("d-body").replaceChildren(...body);
}

async function inspect() {
  if (!chosen || asking) return;
  const asked = chosen;
  asking = true;
  try {
    const answer = await askFor("lock?" + keyQuery(asked));
    const before = await askFor("timeline?" + keyQuery(asked));
    if (sameKey(asked, chosen)) {
      detail = answer;
      detailAt = performance.now();
      past = before.error ? null : before;
    }
  } catch (error) { /* the stream says that nobody answers */ }
  asking = false;
  if (!sameKey(asked, chosen)) inspect();
  else drawDetail();
}

function choose(row) {
  chosen = { key: row.key, key_hex: row.key_hex };
  detail = past = null;
  clearBreak();
  draw();
  inspect();
}

// ---- Coming and going ------------------------------------------------------------------------------

function go(changes) {
  Object.assign(view, { offset: 0 }, changes);
  follow();
}

async function showLogin() {
  at("main").hidden = true;
  at("login").hidden = false;
  at("logout").hidden = true;
  last = null;
  chosen = null;
  drawHead();
  at("asof").textContent = "";
  at("trouble").hidden = true;
}

// A stream that was refused says not why: ask.
async function askWhy() {
  try {
    const response = await fetch("locks?limit=0", { cache: "no-store" });
    if (response.status === 401) {
      source.close();
      source = null;
      lost = false;
      showLogin();
      return;
    }
  } catch (error) { /* nobody answers */ }
  lost = true;
  draw();
  if (source && source.readyState === EventSource.CLOSED) setTimeout(follow, 2000);
}

function follow() {
  if (source) source.close();
  source = new EventSource("events?" + new URLSearchParams(view));
  source.onmessage = (event) => {
    last = JSON.parse(event.data);
    remember(last.rows);
    lastAt = performance.now();
    lost = false;
    at("main").hidden = false;
    at("login").hidden = true;
    at("logout").hidden = !last.token;
    draw();
    inspect();
    if (tab !== "doctor") askView();
  };
  source.onerror = askWhy;
}

function speak() {
  words = WORDS[language] || WORDS.en;
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = words[element.dataset.word];
  for (const element of document.querySelectorAll("[data-title]")) element.title = words[element.dataset.title];
  for (const element of document.querySelectorAll("[data-placeholder]")) element.placeholder = words[element.dataset.placeholder];
  at("language").textContent = words.language;
  at("theme").textContent = "◐";
  at("theme").title = words.theme;
  at("sort").replaceChildren(...Object.entries(words.by).map(([name, text]) => new Option(text, name, false, name === view.sort)));
  draw();
}

at("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  save("language", language);
  speak();
});
at("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  save("theme", document.documentElement.dataset.theme);
});
let typing = 0;
at("search").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => go({ search: at("search").value }), 200);
});
at("sort").addEventListener("change", () => go({ sort: at("sort").value }));
at("back").addEventListener("click", () => go({ offset: Math.max(0, view.offset - view.limit) }));
at("next").addEventListener("click", () => go({ offset: view.offset + view.limit }));
at("close").addEventListener("click", () => { chosen = null; draw(); });
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && chosen) { chosen = null; draw(); } });
at("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const response = await fetch("login", { method: "POST", body: new URLSearchParams({ token: at("token").value }) });
  at("token").value = "";
  at("refused").textContent = response.ok ? "" : response.status === 401 ? words.wrong : await response.text();
  if (response.ok) follow();
});
at("break").addEventListener("submit", onBreak);
at("logout").addEventListener("click", async () => {
  await fetch("logout", { method: "POST" });
  if (source) source.close();
  showLogin();
});
// Looks at many locks are rare; one lock can be asked for more often.
setInterval(() => {
  if (!last) return;
  drawHead();
  drawList();
  drawDetail();
  if (tab === "doctor") drawView();
  if (chosen && performance.now() - detailAt > DETAIL_MS) inspect();
}, 1000);
if (saved("theme")) document.documentElement.dataset.theme = saved("theme");
speak();
follow();
