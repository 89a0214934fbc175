"use strict";
// Sorting, choosing, pointing: all that is shown is in the page already.
const all = (where, what) => [...where.querySelectorAll(what)];

for (const table of all(document, "table.sortable")) {
  const heads = all(table.tHead, "th");
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const isText = head.classList.contains("text");
    const first = isText ? "ascending" : "descending";
    const now = head.getAttribute("aria-sort");
    const next = now === "none" ? first : now === "ascending" ? "descending" : "ascending";
    heads.forEach((each) => each.setAttribute("aria-sort", each === head ? next : "none"));
    const key = (row) => row.cells[column].dataset.s ?? row.cells[column].textContent;
    const sign = next === "ascending" ? 1 : -1;
    const order = [...table.tBodies[0].rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === ""); // what is missing stays below
      return sign * (isText ? x.localeCompare(y, "en", {numeric: true}) : x - y);
    });
    table.tBodies[0].append(...order);
  }));
}

for (const box of all(document, ".choosable")) {
  const choices = all(box, "[data-choice]");
  const show = () => {
    const wanted = choices.map((each) => each.querySelector("[aria-pressed=true]").dataset.pick).join(" ");
    all(box, "figure").forEach((figure) => { figure.hidden = figure.dataset.is !== wanted; });
  };
  for (const choice of choices) {
    all(choice, "button").forEach((button) => button.addEventListener("click", () => {
      all(choice, "button").forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
      show();
    }));
  }
  const switches = all(box, ".legend button");
  const apply = () => switches.forEach((each) => {
    const isOff = each.getAttribute("aria-pressed") === "false";
    all(box, `figure g[data-v="${each.dataset.v}"]`).forEach((group) => group.classList.toggle("off", isOff));
  });
  switches.forEach((button) => {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") === "false"));
      apply();
    });
    button.addEventListener("dblclick", () => {
      const isAlone = switches.every((each) => each === button || each.getAttribute("aria-pressed") === "false");
      switches.forEach((each) => each.setAttribute("aria-pressed", String(isAlone || each === button)));
      apply();
    });
    const point = (isOn) => all(box, ".chart > svg").forEach((svg) => {
      svg.classList.toggle("pointed", isOn);
      all(svg, ".v").forEach((group) => group.classList.toggle("near", isOn && group.dataset.v === button.dataset.v));
    });
    button.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && point(true));
    button.addEventListener("pointerleave", () => point(false));
  });
}

const told = document.getElementById("told");
const REACH = 34; // how near, in pixels of the screen
for (const svg of all(document, ".chart > svg")) {
  const marks = all(svg, "[data-t]");
  const leave = () => {
    told.hidden = true;
    svg.classList.remove("pointed");
    all(svg, ".near").forEach((each) => each.classList.remove("near"));
  };
  const point = (event) => {
    const frame = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / frame.width;
    const x = (event.clientX - frame.left) * scale;
    const y = (event.clientY - frame.top) * scale;
    let best = null;
    let least = (REACH * scale) ** 2;
    for (const mark of marks) {
      if (mark.closest(".v").classList.contains("off")) continue;
      const away = (mark.dataset.x - x) ** 2 + (mark.dataset.y - y) ** 2;
      if (away < least) [best, least] = [mark, away];
    }
    if (!best) return leave();
    const {v: variant, n: name} = best.closest(".v").dataset;
    svg.classList.add("pointed");
    all(svg, ".v").forEach((each) => each.classList.toggle("near", each.dataset.v === variant));
    told.textContent = `${name}, ${best.dataset.t}`;
    told.hidden = false;
    const left = frame.left + best.dataset.x / scale + 12;
    const top = frame.top + best.dataset.y / scale + 12;
    told.style.left = `${Math.max(8, Math.min(left, innerWidth - told.offsetWidth - 8))}px`;
    told.style.top = `${top + told.offsetHeight > innerHeight ? top - told.offsetHeight - 24 : top}px`;
  };
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointerleave", leave);
}
