"use strict";
// What is beside the list: the timeline, where it was waited for, who waits in a circle, what the doctor found.
const TABS = ["locks", "timeline", "contention", "deadlocks", "doctor"];
const STRIP_MS = 15 * 60000;
const CELLS = 60;
let tab = "locks", shown = null, shownAt = 0, asksView = false;

const clock = (ms) => new Date(ms).toLocaleTimeString(language);

// ---- The timeline -------------------------------------------------------------------------------

// The words are parts, so that a foreign label stays an element of its own.
function changeOf(entry) {
  const before = entry.before && told(entry.before), holder = entry.holder && told(entry.holder);
  if (entry.change === "taken") return words.taken(holder);
  if (entry.change === "freed") return entry.may_have_run_out ? words.freedorout(before) : words.freed(before);
  if (entry.change === "passed") return [...words.passed(before, holder), entry.may_have_run_out ? words.mayhaverun : ""];
  if (entry.change === "mode")
    return words.moved(words.mode[entry.before_mode], number(entry.before_holders), words.mode[entry.mode], number(entry.holders));
  return [...words.wasbroken(before, told(entry.by || words.unknown)), ...(entry.reason ? [" ", told(`“${entry.reason}”`)] : []),
          ...(holder ? [" ", ...words.taken(holder)] : [])];
}

const between = (entry) => entry.from_ms === entry.to_ms ? clock(entry.to_ms) : `${clock(entry.from_ms)} – ${clock(entry.to_ms)}`;

function entryOf(entry, named) {
  const line = make("li", "past " + entry.change);
  line.append(make("span", "soft", between(entry)), " ");
  if (named) {
    const button = make("button", "name", told(entry.key));
    button.type = "button";
    button.addEventListener("click", () => choose(entry));
    line.append(button, " ");
  }
  line.append(make("span", "", ...changeOf(entry)));
  if (entry.was_away) line.append(" ", make("span", "flag warn", words.wasaway));
  return line;
}

function limitsOf(past) {
  const parts = [past.began_ms === null ? words.never : words.lookedsince(clock(past.began_ms)), words.betweenlooks];
  if (past.cut) parts.push(words.cut(number(past.past_max), number(past.names_max)));
  return make("p", "soft", parts.join(" "));
}

function drawTimeline(past) {
  const wanted = view.search.toLowerCase();
  const fits = (entry) => [entry.key, entry.holder, entry.before].some((text) => text && text.toLowerCase().includes(wanted));
  const list = make("ul", "pasts", ...past.entries.filter(fits).map((entry) => entryOf(entry, true)));
  return [limitsOf(past), list.children.length ? list : make("p", "soft", words.nothingyet)];
}

const hue = (label) => [...label].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);

function piece(from, to, begin, end, label) {
  const part = make("i", label === undefined ? "unsure" : label ? "" : "free");
  part.style.width = 100 * Math.max(0, Math.min(to, end) - Math.max(from, begin)) / (end - begin) + "%";
  if (label) part.style.backgroundColor = `hsl(${hue(label)} 55% 60%)`;
  part.title = `${clock(from)} – ${clock(to)} ${label === undefined ? words.unknown : label || words.free}`;
  return part;
}

// Held, free, and between two looks: not known.
function stripOf(past) {
  const end = past.now_ms, begin = Math.max(past.began_ms, end - STRIP_MS), box = make("div", "strip");
  const entries = past.entries.slice().reverse();
  let from = begin, label = past.cut ? undefined : entries[0].before || "";
  for (const entry of entries) {
    box.append(piece(from, entry.from_ms, begin, end, label), piece(entry.from_ms, entry.to_ms, begin, end, undefined));
    from = entry.to_ms;
    label = entry.holder || "";
  }
  box.append(piece(from, end, begin, end, label));
  return make("div", "", box, make("div", "soft ends", make("span", "", clock(begin)), make("span", "", clock(end))));
}

function drawPast(past) {
  if (!past) return [];
  if (!past.entries.length) return [make("h3", "", words.tabs.timeline), limitsOf(past), make("p", "soft", words.nothingyet)];
  return [make("h3", "", words.tabs.timeline), stripOf(past), make("ul", "pasts", ...past.entries.map((entry) => entryOf(entry, false))),
          limitsOf(past)];
}

// ---- Contention ---------------------------------------------------------------------------------

function cellOf(most, from, to, top) {
  const level = most === null ? "none" : most === 0 ? "0" : String(1 + Math.min(4, Math.floor(5 * Math.log1p(most) / Math.log1p(top) - 1e-9)));
  const cell = make("i", "cell h" + level);
  cell.title = `${clock(from)} – ${clock(to)}: ${most === null ? words.unknown : words.waits(number(most))}`;
  return cell;
}

// Two spans make a cell; null stands for a time in which nobody looked.
function cellsOf(one, heat, top) {
  const cells = [], first = one.waiters.length - 2 * CELLS;
  for (let i = first; i < one.waiters.length; i += 2) {
    const both = one.waiters.slice(i, i + 2).filter((count) => count !== null);
    const from = heat.last_ms - (one.waiters.length - 1 - i) * heat.span_ms;
    cells.push(cellOf(both.length ? Math.max(...both) : null, from, from + 2 * heat.span_ms, top));
  }
  return cells;
}

function drawContention(heat) {
  const most = (one) => Math.max(0, ...one.waiters.filter((count) => count !== null));
  const classes = heat.classes.slice().sort((a, b) => most(b) - most(a)), top = Math.max(1, ...classes.map(most));
  const rows = classes.map((one) => make("div", "heat", make("span", "key", one.class ? told(one.class + ":") : words.noclass),
    make("span", "cells", ...cellsOf(one, heat, top)), make("span", "soft", words.upto(number(most(one))))));
  const parts = [make("p", "soft", words.heatsays), ...(rows.length ? rows : [make("p", "soft", words.nobodywaited)])];
  if (heat.left_out) parts.push(make("p", "soft", words.leftout(number(heat.classes_max))));
  return parts;
}

// ---- Deadlocks ----------------------------------------------------------------------------------

function circleOf(circle) {
  const list = make("ol", "", ...circle.waits.map((wait) => {
    const button = make("button", "name", told(wait.key));
    button.type = "button";
    button.addEventListener("click", () => choose(wait));
    return make("li", "", who(wait), " ", words.waitsfor, " ", button, " ", words.heldby, " ", told(wait.holder));
  }));
  return make("div", "card circle", make("p", circle.looks > 1 ? "flag bad" : "flag warn",
    circle.looks > 1 ? words.looksinrow(number(circle.looks)) : words.onelook), list);
}

function drawDeadlocks(seen) {
  const parts = [make("p", "soft", words.deadlocksays)];
  if (!seen.store.known) parts.push(make("p", "", words.asof(span(seen.store.as_of_ms))));
  if (seen.circles === null) parts.push(make("p", "soft", words.never));
  else if (!seen.circles.length) parts.push(make("p", "soft", words.nocircle));
  else parts.push(...seen.circles.map(circleOf));
  if (seen.cut) parts.push(make("p", "soft", words.waitscut));
  return parts;
}

// ---- The doctor ---------------------------------------------------------------------------------

function drawDoctor(exam) {
  const again = make("button", "", words.again);
  again.type = "button";
  again.addEventListener("click", askView);
  return [make("p", "soft", words.asof(span(exam.age_ms + performance.now() - shownAt)) + " ", again),
          ...exam.findings.map((one) => make("div", "card finding " + one.severity, make("b", "", words.severity[one.severity], " · ", one.topic),
            make("p", "", told(one.text)), make("p", "soft", told(one.advice))))];
}

// ---- Which one ----------------------------------------------------------------------------------

const DRAWERS = { timeline: drawTimeline, contention: drawContention, deadlocks: drawDeadlocks, doctor: drawDoctor };

function drawTabs() {
  at("tabs").replaceChildren(...TABS.map((name) => {
    const button = make("button", name === tab ? "chosen" : "", words.tabs[name]);
    if (name === "deadlocks" && last && last.deadlocks) button.append(" ", make("span", "flag bad", number(last.deadlocks)));
    button.type = "button";
    button.id = "tab-" + name;
    button.setAttribute("aria-pressed", name === tab);
    button.addEventListener("click", () => openTab(name));
    return button;
  }));
}

function drawView() {
  at("list").hidden = tab !== "locks";
  at("view").hidden = tab === "locks";
  at("groups").hidden = at("sorting").hidden = tab !== "locks";
  at("tools").hidden = tab !== "locks" && tab !== "timeline";
  at("crumbs").hidden = at("crumbs").hidden || at("tools").hidden;
  if (tab === "locks") return;
  const parts = !shown ? [make("p", "soft", words.asking)]
    : shown.error ? [make("p", "soft", words.away(shown.reason))] : DRAWERS[tab](shown);
  at("view").replaceChildren(...parts);
}

async function askFor(path) {
  const response = await fetch(path, { cache: "no-store" });
  return response.headers.get("Content-Type") === "application/json" ? response.json() : { error: "?", reason: await response.text() };
}

async function askView() {
  if (tab === "locks" || asksView) return;
  const asked = tab;
  asksView = true;
  try {
    const answer = await askFor(asked === "timeline" ? "timeline?prefix=" + encodeURIComponent(view.prefix) : asked);
    if (asked === tab) {
      shown = answer;
      shownAt = performance.now();
    }
  } catch (error) { /* the stream says that nobody answers */ }
  asksView = false;
  if (asked !== tab) askView();
  else drawView();
}

function openTab(name) {
  tab = name;
  shown = null;
  draw();
  askView();
}
