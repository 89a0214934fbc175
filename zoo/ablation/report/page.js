// Sorting, and pointing at charts.
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
    const left = frame.left + best.dataset.x / scale + 12;
    tell(`${name}, ${best.dataset.t}`, left, frame.top + best.dataset.y / scale + 12);
  };
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointerleave", leave);
}
