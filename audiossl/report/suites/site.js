// Tables that are sorted and filtered, and one view at a time. Without this every page is a plain page.
"use strict";

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (head.classList.contains("fixed")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    const label = head.querySelector(".label") || head;
    button.append(...label.childNodes);
    label.append(button);
    button.addEventListener("click", () => {
      const first = head.dataset.first || "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      sortBy(table, column, head.getAttribute("aria-sort") === first ? other : first);
    });
  });
}

function keyOf(row, column) {
  const cell = row.cells[column];
  const key = cell ? cell.dataset.key : undefined;
  return key !== undefined && key !== "" ? Number(key) : cell ? cell.textContent.trim().toLowerCase() : "";
}

// Rows without a figure come last in both directions.
function sortBy(table, column, direction) {
  const sign = direction === "ascending" ? 1 : -1;
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, key: keyOf(row, column) }));
  const isNumber = rows.some((each) => typeof each.key === "number");
  rows.sort((a, b) => {
    if (isNumber) {
      if (typeof a.key !== "number" || typeof b.key !== "number") {
        return (typeof a.key === "number" ? 0 : 1) - (typeof b.key === "number" ? 0 : 1);
      }
      return sign * (a.key - b.key);
    }
    return sign * a.key.localeCompare(b.key);
  });
  body.append(...rows.map((each) => each.row));
  [...table.tHead.rows[0].cells].forEach((head, place) => {
    if (place === column) head.setAttribute("aria-sort", direction);
    else head.removeAttribute("aria-sort");
  });
}

for (const field of document.querySelectorAll("input[data-filters]")) {
  const table = document.getElementById(field.dataset.filters);
  const count = document.getElementById(field.dataset.filters + "-count");
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = words.length ? `${shown} of ${table.tBodies[0].rows.length} rows` : "";
  });
}

const chooser = document.getElementById("view");
if (chooser) {
  const show = () => {
    const chosen = chooser.value;
    const table = document.getElementById("board");
    for (const cell of table.querySelectorAll("[data-view]")) {
      cell.hidden = chosen !== "" && cell.dataset.view !== chosen;
    }
    for (const chart of document.querySelectorAll("figure[data-view]")) {
      chart.hidden = chart.dataset.view !== (chosen || chooser.dataset.first);
    }
    const heads = [...table.tHead.rows[0].cells];
    const column = heads.findIndex((head) => head.dataset.view === (chosen || chooser.dataset.first));
    if (column >= 0) sortBy(table, column, heads[column].dataset.first);
  };
  chooser.addEventListener("change", show);
  show();
}

for (const part of document.querySelectorAll(".controls")) part.hidden = false;
