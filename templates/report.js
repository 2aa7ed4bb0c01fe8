"use strict";
// Sorting and filtering of the tables that are there already. Nothing of the page is made from text.
(() => {
  const root = document.documentElement;
  const AT_ONCE = Number(root.dataset.atOnce);
  const collator = new Intl.Collator("en", { numeric: true });
  const number = new Intl.NumberFormat("en");

  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v ?? cell.textContent;
  };

  const prepare = (data) => {
    const table = data.querySelector("table");
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    const controls = data.querySelector(".controls");
    const what = data.dataset.rows;
    let texts = null;
    let shown = rows;
    let limit = AT_ONCE;

    const more = document.createElement("button");
    more.type = "button";
    more.className = "more";
    data.append(more);

    const show = () => {
      const visible = new Set(shown.slice(0, limit));
      const matching = new Set(shown);
      for (const row of rows) {
        row.hidden = !matching.has(row);
        row.classList.toggle("beyond", matching.has(row) && !visible.has(row));
      }
      const left = shown.length - visible.size;
      more.hidden = left === 0;
      more.textContent = `Show ${number.format(Math.min(left, 5 * AT_ONCE))} more of ${number.format(left)}`;
      if (controls) {
        const all = `${number.format(rows.length)} ${what}${rows.length === 1 ? "" : "s"}`;
        const some = shown.length === rows.length ? all : `${number.format(shown.length)} of ${all}`;
        controls.querySelector("output").textContent = left ? `${some}, ${number.format(visible.size)} shown` : some;
      }
    };

    const filter = () => {
      const words = controls.querySelector("input").value.toLowerCase().split(/\s+/).filter(Boolean);
      const kind = controls.querySelector("select")?.value ?? "";
      texts ??= new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
      shown = rows.filter((row) =>
        (!kind || row.dataset.kind === kind) && words.every((word) => texts.get(row).includes(word)));
      limit = AT_ONCE;
      show();
    };

    const sort = (head) => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const numeric = head.dataset.sort !== "text";
      const keys = new Map(rows.map((row) => {
        const key = value(row, head.cellIndex);
        return [row, numeric ? (key === "" ? -Infinity : Number(key)) : key];
      }));
      const compare = numeric ? (a, b) => a - b : collator.compare;
      const matching = new Set(shown);
      rows.sort((a, b) => compare(keys.get(a), keys.get(b)) * (down ? -1 : 1));
      shown = rows.filter((row) => matching.has(row));
      body.append(...rows);
      show();
    };

    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      button.addEventListener("click", () => sort(head));
      head.replaceChildren(button);
    }
    more.addEventListener("click", () => { limit += 5 * AT_ONCE; show(); });
    if (controls) {
      let timer = 0;
      controls.hidden = false;
      controls.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(filter, 120); });
    }
    show();
  };

  root.classList.add("js");
  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".data").forEach(prepare));
})();
