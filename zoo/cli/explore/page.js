"use strict";
// Asks the server what a text says each time it changes; only the newest answer is shown.
const at = (id) => document.getElementById(id);
const text = at("text"), lines = at("lines"), list = at("options"), state = at("state");
const inputs = {overrides: at("overrides"), scale: at("scale"), length: at("length"), batch: at("batch")};
const PAUSE_MS = 120, SLOW_MS = 400, LINE_PX = 20, AGAIN_MS = 300;
const page = crypto.getRandomValues(new Uint32Array(2)).join("-");
let number = 0, waiting = null, asking = null, base = "", name = "", last = "", resolved = "", wrong = new Map();

const node = (tag, content = "", attributes = {}) => {
  const made = document.createElement(tag);
  made.append(...[content].flat());
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  return made;
};

async function ask(what, given, signal) {
  const answer = await fetch(what, {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(given), signal,
  });
  if (answer.status === 503) {
    await new Promise((done) => setTimeout(done, AGAIN_MS));
    return signal?.aborted ? null : ask(what, given, signal);
  }
  return answer.status === 409 ? null : answer.ok ? answer.json() : Promise.reject(new Error(await answer.text()));
}

// The spec and what is told of it

function tell(words, kind = "") {
  state.textContent = words;
  state.className = kind;
}

function changed() {
  number_lines();
  clearTimeout(waiting);
  waiting = setTimeout(check, PAUSE_MS);
}

async function check() {
  asking?.abort();
  const own = asking = new AbortController();
  const slow = setTimeout(() => tell("working…"), SLOW_MS);
  const given = {
    page, number: ++number, text: text.value, base, name, overrides: inputs.overrides.value, scale: inputs.scale.value,
    length: Number(inputs.length.value), batch: Number(inputs.batch.value),
  };
  try {
    const found = await ask("answer", given, own.signal);
    if (found && own === asking) show(found, given);
  } catch (error) {
    if (own === asking && error.name !== "AbortError") tell(`no answer: ${error.message}`, "bad");
  } finally {
    clearTimeout(slow);
  }
}

function show(found, given) {
  wrong = new Map(found.problems.filter((each) => each.line).map((each) => [each.line, each.message]));
  number_lines();
  show_problems(found.problems);
  show_scales(found.scales, given.scale);
  const isWrong = found.problems.length > 0;
  tell(isWrong ? `${found.problems.length} ${found.problems.length > 1 ? "mistakes" : "mistake"}` : "ok", isWrong ? "bad" : "good");
  at("reading").classList.toggle("stale", isWrong);
  at("resolved").disabled = isWrong;
  text.setAttribute("aria-invalid", String(isWrong));
  if (isWrong) return;
  last = given.text;
  resolved = found.yaml;
  at("memory").textContent = found.memory;
  at("figures").replaceChildren(...found.figures.map(figure));
  show_table(found.table);
  show_diff(found.diff, found.costs);
  at("drawing").innerHTML = found.svg || "<p class=none>A model of neither an encoder nor a decoder is not drawn.</p>";
}

function show_problems(problems) {
  at("problems").replaceChildren(...problems.map((each) => {
    const button = node("button", [each.line ? node("b", `line ${each.line}  `) : "", each.message], {type: "button"});
    button.addEventListener("click", () => each.line && go_to(each.line));
    return node("li", button);
  }));
}

function go_to(line) {
  const start = text.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  text.focus();
  text.setSelectionRange(start, start);
  text.scrollTop = (line - 4) * LINE_PX;
}

function show_scales(scales, chosen) {
  const names = ["", ...scales];
  if (names.join() === [...inputs.scale.options].map((each) => each.value).join()) return;
  inputs.scale.replaceChildren(...names.map((each) => node("option", each || "as written", {value: each})));
  inputs.scale.value = names.includes(chosen) ? chosen : "";
}

function figure({name: title, value, before}) {
  const was = before !== null && before !== value ? [node("small", `was ${before}`)] : [];
  return node("div", [node("dt", title), node("dd", [value, ...was])]);
}

function show_table(rows) {
  const heads = ["layer", "type", "per layer", "FLOPs", "sequential", "", "path", ""];
  const head = node("tr", heads.map((each) => node("th", each, {scope: "col"})));
  const body = rows.map((row) => node("tr", row.map((cell, i) => node("td", i === 0 ? node("code", cell) : cell,
    [3, 5, 7].includes(i) ? {class: "number"} : {}))));
  at("table").replaceChildren(node("thead", head), node("tbody", body));
}

function show_diff(changes, costs) {
  if (!changes.length) {
    at("diff").replaceChildren(node("p", `Nothing: this is ${name || "the spec"} as it was.`, {class: "none"}));
    return;
  }
  const body = changes.map((each) => node("tr", [
    node("td", node("code", each.path)), node("td", node("del", each.before)), node("td", node("ins", each.after)),
    ...each.costs.map((cost) => node("td", cost, {class: "number"})),
  ]));
  const head = node("tr", [
    ...["key", "was", "is"].map((each) => node("th", each, {scope: "col"})),
    ...costs.map((each) => node("th", each, {scope: "col", class: "number"})),
  ]);
  at("diff").replaceChildren(node("div", node("table", [node("thead", head), node("tbody", body)]), {class: "scroll"}));
}

// Line numbers

function number_lines() {
  const n = text.value.split("\n").length;
  const found = document.createDocumentFragment();
  for (let i = 1; i <= n; i += 1) {
    const line = node("div", String(i));
    if (wrong.has(i)) {
      line.className = "wrong";
      line.title = wrong.get(i);
    }
    found.append(line);
  }
  lines.replaceChildren(found);
  lines.scrollTop = text.scrollTop;
}

// Completions

let options = [], chosen = 0, word = "", completing = null;
const pen = document.createElement("canvas").getContext("2d");

async function complete() {
  completing?.abort();
  const own = completing = new AbortController();
  const given = {text: text.value, at: text.selectionStart, last};
  try {
    const found = await ask("complete", given, own.signal);
    if (!found || own !== completing || given.text !== text.value || given.at !== text.selectionStart) return;
    ({options, word} = found);
    open_options();
  } catch (error) {
    if (error.name !== "AbortError") close_options();
  }
}

function open_options() {
  chosen = 0;
  list.hidden = options.length === 0;
  list.replaceChildren(...options.map((each, i) => {
    const item = node("li", [node("b", each.text), node("span", each.about)], {role: "option", id: `option-${i}`});
    item.addEventListener("pointerdown", (event) => { event.preventDefault(); take(i); });
    return item;
  }));
  if (list.hidden) return close_options();
  const [column, line] = place();
  const box = list.parentElement;
  pen.font = getComputedStyle(text).font;
  const x = lines.offsetWidth + 12 + column * pen.measureText("0").width - text.scrollLeft;
  const y = 10 + (line + 1) * LINE_PX - text.scrollTop;
  list.style.left = `${Math.max(4, Math.min(x, box.clientWidth - list.offsetWidth - 8))}px`;
  const above = y - LINE_PX - list.offsetHeight;
  list.style.top = `${y + list.offsetHeight > box.clientHeight && above > 0 ? above : Math.min(y, box.clientHeight - 60)}px`;
  choose(0);
}

function place() {
  const before = text.value.slice(0, text.selectionStart - word.length).split("\n");
  return [before.at(-1).length, before.length - 1];
}

function choose(i) {
  chosen = (i + options.length) % options.length;
  [...list.children].forEach((item, place) => item.setAttribute("aria-selected", String(place === chosen)));
  list.children[chosen].scrollIntoView({block: "nearest"});
  text.setAttribute("aria-activedescendant", `option-${chosen}`);
}

function close_options() {
  completing?.abort();
  options = [];
  list.hidden = true;
  text.removeAttribute("aria-activedescendant");
}

function take(i) {
  const start = text.selectionStart - word.length, {text: found, after} = options[i];
  const end = text.selectionStart + /^[\w./]*/.exec(text.value.slice(text.selectionStart))[0].length;
  const isFollowed = /^[ ]*:/.test(text.value.slice(end));
  close_options();
  text.focus();
  text.setRangeText(isFollowed ? found : found + after, start, end, "end");
  changed();
  if (after && !isFollowed) complete();
}

text.addEventListener("input", (event) => {
  changed();
  const typed = event.inputType === "insertText" && /[\w.: ]/.test(event.data ?? "");
  const isInWord = event.inputType === "deleteContentBackward" && !list.hidden;
  if ((typed && event.data !== " ") || isInWord || /: $/.test(text.value.slice(0, text.selectionStart))) complete();
  else close_options();
});
text.addEventListener("keydown", (event) => {
  if (event.ctrlKey && event.code === "Space") {
    event.preventDefault();
    complete();
  } else if (!list.hidden && ["ArrowDown", "ArrowUp"].includes(event.key)) {
    event.preventDefault();
    choose(chosen + (event.key === "ArrowDown" ? 1 : -1));
  } else if (!list.hidden && ["Enter", "Tab"].includes(event.key)) {
    event.preventDefault();
    take(chosen);
  } else if (event.key === "Escape") {
    close_options();
  } else if (event.key === "Enter") {
    event.preventDefault();
    const indent = /^ */.exec(text.value.slice(0, text.selectionStart).split("\n").at(-1))[0];
    const opens = /:\s*$/.test(text.value.slice(0, text.selectionStart));
    text.setRangeText(`\n${indent}${opens ? "  " : ""}`, text.selectionStart, text.selectionEnd, "end");
    changed();
  }
});
text.addEventListener("scroll", () => { lines.scrollTop = text.scrollTop; close_options(); });
text.addEventListener("blur", close_options);

// The rest of the page

async function copy(button, content) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(content);
    button.textContent = "Copied";
  } catch {
    button.textContent = "The browser refuses";
  }
  setTimeout(() => { button.textContent = before; }, 1500);
}
at("copy").addEventListener("click", () => copy(at("copy"), text.value));
at("resolved").addEventListener("click", () => copy(at("resolved"), resolved));

function begin(found) {
  ({name, text: base} = found);
  text.value = base;
  text.setSelectionRange(0, 0);
  text.scrollTop = 0;
  document.title = `${name} – zoo explore`;
  wrong = new Map();
  number_lines();
}

at("name").addEventListener("change", async (event) => {
  if (text.value !== base && !confirm("Leave what you have written?")) {
    event.target.value = name;
    return;
  }
  begin(await ask("preset", {name: event.target.value}));
  inputs.overrides.value = inputs.scale.value = "";
  check();
});
Object.values(inputs).forEach((each) => each.addEventListener("input", changed));
at("theme").addEventListener("change", (event) => {
  document.documentElement.dataset.theme = event.target.value;
});

(async () => {
  const start = await ask("start", {});
  at("name").replaceChildren(...start.names.map((each) => node("option", each, {value: each})));
  at("name").value = start.name;
  inputs.overrides.value = start.overrides;
  show_scales(start.scale ? [start.scale] : [], start.scale ?? "");
  begin(start);
  check();
})();
