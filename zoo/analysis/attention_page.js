// Pointing at words and cells of attention maps.
const percent = (value) => `${Math.round(value * 100)} %`;
const N_TOLD = 4;

for (const layer of all(document, ".layer")) {
  const {queries, keys, heads} = JSON.parse(layer.dataset.about);
  const bytes = Uint8Array.from(atob(layer.dataset.weights), (each) => each.charCodeAt(0));
  const weight = (place, i, j) => bytes[(place * queries.length + i) * keys.length + j] / 255;
  const shownHeads = () => heads.map((head, place) => [head, place])
    .filter(([head]) => !all(layer, `.lines g[data-v="${head}"].off`).length).map(([, place]) => place);
  const mean = (i, j) => {
    const places = shownHeads();
    return places.reduce((sum, place) => sum + weight(place, i, j), 0) / Math.max(places.length, 1);
  };
  const most = (others, of) => others.map((text, i) => [text, of(i)]).sort((a, b) => b[1] - a[1])
    .slice(0, N_TOLD).filter(([, value]) => value >= 0.01).map(([text, value]) => `${text} ${percent(value)}`).join(", ");

  const svg = layer.querySelector(".lines svg");
  const words = all(svg, "text[data-place]");
  const leave = () => {
    told.hidden = true;
    svg.classList.remove("pointed");
    all(svg, ".near").forEach((each) => each.classList.remove("near"));
  };
  const point = (event) => {
    const frame = svg.getBoundingClientRect();
    const side = event.clientY < frame.top + frame.height / 2 ? "k" : "q";
    const x = event.clientX - frame.left;
    const near = words.filter((word) => word.dataset.place[0] === side)
      .sort((a, b) => Math.abs(a.getAttribute("x") - x) - Math.abs(b.getAttribute("x") - x))[0];
    if (!near) return;
    leave();
    const place = near.dataset.place;
    svg.classList.add("pointed");
    const reached = new Set([place]);
    for (const link of all(svg, ".link")) {
      if (link.dataset.a !== place && link.dataset.b !== place) continue;
      link.classList.add("near");
      reached.add(link.dataset.a).add(link.dataset.b);
    }
    words.filter((word) => reached.has(word.dataset.place)).forEach((word) => word.classList.add("near"));
    const number = Number(place.slice(1));
    const text = side === "q" ? `${queries[number]} → ${most(keys, (j) => mean(number, j))}`
      : `${keys[number]} ← ${most(queries, (i) => mean(i, number))}`;
    tell(text, event.clientX + 14, event.clientY + 14);
  };
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointerleave", leave);

  for (const heat of all(layer, ".heat")) {
    const drawn = heat.querySelector("svg");
    const [left, top, cell] = heat.dataset.cells.split(" ").map(Number);
    const labels = all(drawn, "text[data-place]");
    const leaveCell = () => {
      told.hidden = true;
      labels.forEach((each) => each.classList.remove("near"));
    };
    const pointCell = (event) => {
      const frame = drawn.getBoundingClientRect();
      const i = Math.floor((event.clientY - frame.top - top) / cell);
      const j = Math.floor((event.clientX - frame.left - left) / cell);
      leaveCell();
      if (i < 0 || j < 0 || i >= queries.length || j >= keys.length) return;
      labels.filter((each) => [`q${i}`, `k${j}`].includes(each.dataset.place))
        .forEach((each) => each.classList.add("near"));
      const place = heat.dataset.place;
      const value = place === "mean" ? heads.reduce((sum, _, h) => sum + weight(h, i, j), 0) / heads.length
        : weight(Number(place), i, j);
      tell(`${queries[i]} → ${keys[j]}: ${percent(value)}`, event.clientX + 14, event.clientY + 14);
    };
    drawn.addEventListener("pointermove", pointCell);
    drawn.addEventListener("pointerdown", pointCell);
    drawn.addEventListener("pointerleave", leaveCell);
  }
}

for (const box of all(document, ".choosable")) {
  const sync = () => all(box, ".heat").forEach((heat) => {
    heat.hidden = all(heat, ".v.off").length > 0;
  });
  all(box, ".legend button").forEach((button) => ["click", "dblclick"].forEach((each) => button.addEventListener(each, sync)));
}
