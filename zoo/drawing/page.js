"use strict";
// Choosing, showing and hiding, and what is told at the pointer: all that is shown is in the page already.
const all = (where, what) => [...where.querySelectorAll(what)];

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
    const point = (isOn) => all(box, "figure svg").forEach((svg) => {
      svg.classList.toggle("pointed", isOn);
      all(svg, ".v").forEach((group) => group.classList.toggle("near", isOn && group.dataset.v === button.dataset.v));
    });
    button.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && point(true));
    button.addEventListener("pointerleave", () => point(false));
  });
}

const told = document.getElementById("told");
const tell = (text, left, top) => {
  told.textContent = text;
  told.hidden = false;
  told.style.left = `${Math.max(8, Math.min(left, innerWidth - told.offsetWidth - 8))}px`;
  told.style.top = `${top + told.offsetHeight > innerHeight ? top - told.offsetHeight - 24 : top}px`;
};
