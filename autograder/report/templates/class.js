"use strict";
// The page is whole without this. With it, a figure shows the students behind it, the table can be searched and sorted,
// and bars say their figures under the pointer and at the keyboard.
const $ = (id) => document.getElementById(id);
const picks = JSON.parse($("picks").textContent); // each: who they are in words, then their places
const body = $("table").tBodies[0];
const rows = [...body.rows]; // in the order that picks count in
const names = rows.map((row) => row.cells[0].textContent.toLocaleLowerCase());
const buttons = [...document.querySelectorAll("[data-pick]")];
let chosen = []; // numbers of picks; a row is shown if it belongs to all of them

function show() {
  const sets = chosen.map((number) => new Set(picks[number].slice(1)));
  const words = $("find").value.toLocaleLowerCase().trim();
  let shown = 0;
  rows.forEach((row, place) => {
    row.hidden = !(sets.every((set) => set.has(place)) && names[place].includes(words));
    shown += !row.hidden;
  });
  for (const button of buttons) button.setAttribute("aria-pressed", String(chosen.includes(Number(button.dataset.pick))));
  const all = !chosen.length && !words;
  const reasons = chosen.map((number) => picks[number][0]);
  if (words) reasons.push(`called “${words}”`);
  $("status").textContent = all ? `${rows.length} students` : `${shown} of ${rows.length}: ${reasons.join(", and ")}`;
  $("everyone").hidden = all;
}

function everyone() {
  chosen = [];
  $("find").value = "";
  show();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-pick]");
  if (!button) return;
  const number = Number(button.dataset.pick);
  const others = event.shiftKey ? chosen.filter((one) => one !== number) : [];
  chosen = chosen.includes(number) ? others : [...others, number];
  say(""); // who clicked wants to see what comes of it
  show();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") everyone();
});
$("everyone").addEventListener("click", everyone);
$("find").addEventListener("input", show);

// ---- sorting

const order = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
for (const button of document.querySelectorAll("[data-sort]")) {
  button.addEventListener("click", () => {
    const heading = button.closest("th");
    const column = heading.cellIndex;
    const was = heading.getAttribute("aria-sort");
    // Names begin with A, figures with the largest: what one looks for first.
    const now = was ? (was === "ascending" ? "descending" : "ascending") : column ? "descending" : "ascending";
    for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", now);
    const value = column ? (row) => Number(row.cells[column].dataset.value) : (row) => row.cells[0].textContent;
    const compare = column ? (a, b) => value(a) - value(b) : (a, b) => order.compare(value(a), value(b));
    const sorted = [...rows].sort((a, b) => (now === "ascending" ? compare(a, b) : compare(b, a)));
    body.append(...sorted);
  });
}

// ---- what a bar says

const tip = $("tip");
const items = JSON.parse($("table").dataset.items);

function say(text, x, y) {
  tip.hidden = !text;
  tip.textContent = text;
  if (!text) return;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(x - box.width / 2, innerWidth - box.width - 4))}px`;
  tip.style.top = `${y + 18 + box.height > innerHeight ? y - box.height - 8 : y + 18}px`; // below, as sentences are read on
}

function about(element, x) {
  const strip = element.closest?.(".strip");
  if (!strip) return element.closest?.("[data-tip]")?.dataset.tip ?? "";
  const box = strip.getBoundingClientRect();
  const place = Math.min(items.length - 1, Math.max(0, Math.floor(((x - box.left) / box.width) * items.length)));
  const share = strip.dataset.shares.split(" ")[place];
  return `${items[place]}: ${share === "-" ? "not graded" : `${share}%`}`;
}

document.addEventListener("pointermove", (event) => {
  if (event.pointerType !== "touch") say(about(event.target, event.clientX), event.clientX, event.clientY);
});
document.addEventListener("pointerleave", () => say(""));
document.addEventListener("focusin", (event) => {
  const box = event.target.getBoundingClientRect();
  if (event.target.matches(":focus-visible")) say(about(event.target, box.left), box.left + box.width / 2, box.bottom - 12);
});
document.addEventListener("focusout", () => say(""));
