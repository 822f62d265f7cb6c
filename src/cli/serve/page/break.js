"use strict";
// Taking a lock from its holder. The fence that is typed says from whom: if another one has it meanwhile, the
// store refuses. An answer that did not come is unknown, not "no".

function clearBreak() {
  at("b-fence").value = "";
  at("b-reason").value = "";
  at("b-result").textContent = "";
}

function drawBreak() {
  at("break").hidden = !(last && last.can_break && detail && detail.held);
}

async function askToBreak(lock, fence, reason) {
  const name = lock.key_hex ? { key_hex: lock.key_hex } : { key: lock.key };
  const response = await fetch("break", { method: "POST", headers: { "Content-Type": "application/json" },
                                          body: JSON.stringify({ ...name, fence, reason }) });
  if (response.headers.get("Content-Type") === "application/json") return { status: response.status, ...await response.json() };
  return { status: response.status, result: response.status < 500 || response.status === 503 ? "not_broken" : "unknown",
           reason: await response.text() };
}

async function onBreak(event) {
  event.preventDefault();
  const lock = chosen, fence = at("b-fence").value.trim();
  let answer;
  at("b-result").textContent = words.asking;
  try {
    answer = await askToBreak(lock, fence, at("b-reason").value);
  } catch (error) {
    answer = { result: "unknown", reason: words.gone };
  }
  if (!sameKey(lock, chosen)) return;
  const why = answer.status === 409 ? words.otherfence(fence) : answer.reason;
  clearBreak();
  at("b-result").replaceChildren(make("b", "", words.outcome[answer.result] || words.outcome.unknown), " ", told(why || ""));
  if (answer.warning) at("b-result").append(" ", told(answer.warning));
  inspect();
}
