// A table that is kept up in place, row by row, so that nothing flickers and a selection stays. All of it is text.

const tables = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const root = data && parentElement.querySelector(".table");
  if (!root) return;
  let table = tables.get(root);
  if (!table) tables.set(root, (table = new Table(root)));
  table.pick = (id) => setTriggerValue("picked", id);
  table.show(data);
}

class Table {
  constructor(root) {
    this.root = root;
    this.head = root.querySelector("thead tr");
    this.body = root.querySelector("tbody");
    const opened = (event) => {
      const row = event.target.closest("tr.open");
      if (row && !event.target.closest("a") && !String(getSelection())) this.pick(row.dataset.id);
    };
    this.body.addEventListener("click", opened);
    this.body.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); opened(event); }
      const beside = event.key === "ArrowDown" ? "nextElementSibling" : event.key === "ArrowUp" ? "previousElementSibling" : "";
      const row = beside && event.target.closest("tr.open");
      if (row && row[beside]) { event.preventDefault(); row[beside].focus(); }
    });
  }

  show({ columns, rows, empty, opens, picked, high }) {
    const kinds = columns.map(({ kind }) => (kind === "text" ? "" : kind));
    const titles = JSON.stringify(columns);
    if (this.titles !== titles) {
      this.titles = titles;
      this.head.replaceChildren(...columns.map(({ title }, at) => make("th", { scope: "col", className: kinds[at], textContent: title })));
      this.body.replaceChildren();
    }
    this.root.querySelector(".roll").style.setProperty("--high", `${high}px`);
    this.root.dataset.rows = rows.length;
    if (!rows.length) {
      this.body.replaceChildren(make("tr", {}, make("td", { className: "none", colSpan: columns.length, textContent: empty })));
      return;
    }
    const there = new Map([...this.body.children].map((row) => [row.dataset.id, row]));
    rows.forEach((given, place) => {
      const row = there.get(given.id) || this.row(given.id, kinds);
      there.delete(given.id);
      if (this.body.children[place] !== row) this.body.insertBefore(row, this.body.children[place] || null);
      const names = [given.tone, opens ? "open" : ""].filter(Boolean).join(" ");
      if (row.className !== names) row.className = names;
      if (opens) row.tabIndex = 0;
      row.setAttribute("aria-selected", String(given.id === picked));
      given.cells.forEach((cell, at) => this.fill(row.children[at], cell));
    });
    for (const row of there.values()) row.remove();
    for (const row of [...this.body.children]) if (row.dataset.id === undefined) row.remove();
  }

  row(id, kinds) {
    const row = make("tr", {}, ...kinds.map((kind, at) => make(at ? "td" : "th", { className: kind, ...(at ? {} : { scope: "row" }) })));
    row.dataset.id = id;
    return row;
  }

  fill(cell, given) {
    const [words, url] = typeof given === "string" ? [given, ""] : [given.text, given.url];
    if (cell.dataset.url === url && cell.textContent === words) return;
    cell.dataset.url = url;
    cell.replaceChildren(/^https?:/.test(url) ? make("a", { href: url, target: "_blank", rel: "noopener", textContent: words }) : words);
    cell.title = words;
  }
}
