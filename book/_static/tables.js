// A table that is wider than the text may have the margin, if there is one: the theme then folds the contents away. It looks
// for such tables when the page has loaded, so that they are marked just before.
window.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll(".xc-scroll")) {
    const folded = box.matches(".xc-evidence");
    if (folded || box.scrollWidth > box.clientWidth + 1) (folded ? box : box.parentElement).classList.add("full-width");
  }
}, true);

// Tables that ask for it can be sorted by any column and narrowed to rows that hold some words.
document.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll(".xc-table.xc-sortable")) {
    const body = box.querySelector("tbody");
    const heads = [...box.querySelectorAll("thead th")];
    const text = (row, column) => row.cells[column].textContent;
    const number = (cell) => parseFloat(cell.trim().replace("−", "-")); // of "26.9 ± 0.5" the value;

    const compare = (column, direction) => (one, other) => {
      const [a, b] = [text(one, column), text(other, column)];
      const [x, y] = [number(a), number(b)];
      if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1; // what is no number goes last
      return direction * (Number.isNaN(x) ? a.localeCompare(b) : x - y);
    };

    heads.forEach((head, column) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: head.textContent });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const first = head.classList.contains("number") ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const order = head.getAttribute("aria-sort") === first ? other : first;
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", order);
        body.append(...[...body.rows].sort(compare(column, order === "ascending" ? 1 : -1)));
      });
    });

    const label = Object.assign(document.createElement("label"), { textContent: "Show rows with " });
    const words = Object.assign(document.createElement("input"), { type: "search", autocomplete: "off" });
    label.append(words);
    const count = document.createElement("output"); // read aloud when it changes
    box.prepend(Object.assign(document.createElement("div"), { className: "xc-narrow" }));
    box.firstChild.append(label, count);
    words.addEventListener("input", () => {
      const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of body.rows) {
        const held = [...row.cells].map((cell) => cell.textContent.toLowerCase()).join(" ");
        row.hidden = !wanted.every((word) => held.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      count.textContent = wanted.length ? `${shown} of ${body.rows.length} rows` : "";
    });
  }
});
