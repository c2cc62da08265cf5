"use strict";
// The review page. A verdict counts once the server says that it is on disk; only then does the next triplet come.

const element = (id) => document.getElementById(id);
const state = { choices: [], reviewer: "", rows: [], verdicts: new Map(), at: 0, busy: false, waiting: new Set() };

history.replaceState(null, "", "/"); // the cookie is set; the token need not stay in the address bar

function show(id, visible) {
  element(id).hidden = !visible;
}

function tell(problem) {
  element("problem").textContent = problem;
  show("problem", Boolean(problem));
}

async function ask(address, options) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw new Error("The server does not answer. Is `cirgen review` still running? Start it again and open its link.");
  }
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

async function start() {
  try {
    const { run, reviewer, choices } = await ask("/start");
    state.choices = choices;
    element("run").textContent = run;
    document.title = `${run}: review`;
    choices.forEach(addChoice);
    const name = sessionStorage.getItem("reviewer") || reviewer;
    if (name) await begin(name);
    else askName();
  } catch (error) {
    tell(error.message);
  }
}

function addChoice({ key, verdict, meaning }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "choice";
  button.dataset.verdict = verdict;
  for (const [tag, text, kind] of [["kbd", key, ""], ["b", verdict, ""], ["span", meaning, "soft"]]) {
    const part = document.createElement(tag);
    part.textContent = text;
    part.className = kind;
    button.append(part);
  }
  button.addEventListener("click", () => { button.blur(); judge(verdict); });
  element("choices").append(button);
}

function askName() {
  for (const id of ["review", "done", "who", "track", "count", "hints"]) show(id, false);
  show("name", true);
  element("name-field").value = state.reviewer;
  element("name-field").focus();
}

async function begin(name) {
  const { reviewer, rows, verdicts } = await ask(`/rows?${new URLSearchParams({ reviewer: name })}`);
  sessionStorage.setItem("reviewer", reviewer);
  Object.assign(state, { reviewer, rows, verdicts: new Map(Object.entries(verdicts)) });
  element("reviewer").textContent = reviewer;
  tell("");
  element("name-field").blur(); // a browser is slow to take the focus from what is hidden
  show("name", false);
  for (const id of ["who", "track", "count", "hints"]) show(id, true);
  go(firstOpen());
}

function firstOpen() {
  const place = state.rows.findIndex((row) => !state.verdicts.has(row.id));
  return place < 0 ? state.rows.length : place;
}

function go(place) {
  state.at = Math.max(0, Math.min(place, state.rows.length));
  const row = state.rows[state.at];
  const judged = state.rows.filter(({ id }) => state.verdicts.has(id)).length;
  element("fill").style.width = `${(100 * judged) / state.rows.length}%`;
  element("track").setAttribute("aria-valuemax", state.rows.length);
  element("track").setAttribute("aria-valuenow", judged);
  element("count").textContent = `${row ? `triplet ${state.at + 1}, ` : ""}${judged} of ${state.rows.length} judged`;
  show("review", Boolean(row));
  show("done", !row);
  if (!row) return;
  element("text").textContent = row.text || "(no text)";
  for (const end of ["reference", "target"]) picture(end, row[end]);
  for (const button of element("choices").children) {
    button.setAttribute("aria-pressed", String(button.dataset.verdict === state.verdicts.get(row.id)));
  }
  const next = state.rows[state.at + 1];
  if (next) for (const end of ["reference", "target"]) new Image().src = `/image/${next[end]}`;
}

function picture(end, id) {
  const image = element(end);
  const frame = image.parentElement;
  const address = `/image/${id}`;
  frame.classList.remove("gone");
  if (image.getAttribute("src") === address && image.complete) return;
  state.waiting.add(end); // nobody judges what is not there yet
  element("choices").classList.add("waiting");
  const arrived = (gone) => () => {
    frame.classList.toggle("gone", gone);
    state.waiting.delete(end);
    element("choices").classList.toggle("waiting", state.waiting.size > 0);
  };
  image.onload = arrived(false);
  image.onerror = arrived(true);
  image.src = address;
}

async function judge(verdict) {
  const row = state.rows[state.at];
  if (!row || state.busy || state.waiting.size) return;
  state.busy = true;
  try {
    await ask("/verdict", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ reviewer: state.reviewer, triplet_id: row.id, verdict }),
    });
    const changed = state.verdicts.has(row.id);
    state.verdicts.set(row.id, verdict);
    tell("");
    go(changed ? state.at + 1 : firstOpen());
  } catch (error) {
    tell(`Not kept. ${error.message}`);
  } finally {
    state.busy = false;
  }
}

function forward() {
  if (state.at < firstOpen()) go(state.at + 1);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || state.busy || !state.rows.length) return;
  if (!element("name").hidden) return; // a name is typed
  const choice = state.choices.find(({ key }) => key === event.key);
  if (choice) {
    event.preventDefault();
    if (!event.repeat) judge(choice.verdict); // a key that is held down judges once
  } else if (event.key === "Backspace" || event.key === "ArrowLeft") {
    event.preventDefault();
    go(state.at - 1);
  } else if (event.key === "ArrowRight") {
    event.preventDefault();
    forward();
  } else if (event.key === "End") {
    event.preventDefault();
    go(firstOpen());
  }
});

const clicks = { change: askName, back: () => go(state.at - 1), forward, open: () => go(firstOpen()) };
for (const [id, act] of Object.entries(clicks)) {
  element(id).addEventListener("click", () => { element(id).blur(); if (!state.busy) act(); });
}
element("name").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await begin(element("name-field").value);
  } catch (error) {
    tell(error.message);
  }
});

start();
