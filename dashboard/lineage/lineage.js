// Notes in columns, and lines from what each was made from. Titles are text; a note is a button, so the keyboard reaches all.

const WIDEST = 210, NARROWEST = 150, HIGH = 58, ACROSS = 46, EDGE = 14;
const pictures = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const root = data && parentElement.querySelector(".lineage");
  if (!root) return;
  let picture = pictures.get(root);
  if (!picture) pictures.set(root, (picture = new Picture(root)));
  picture.pick = (id) => setTriggerValue("picked", id);
  picture.take(data);
}

class Picture {
  constructor(root) {
    this.root = root;
    this.list = root.querySelector("ul");
    this.svg = root.querySelector("svg");
    this.list.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (button && !button.hasAttribute("aria-current")) this.pick(button.parentElement.dataset.note);
    });
    this.list.addEventListener("keydown", (event) => this.move(event));
    for (const name of ["mouseover", "focusin"]) this.list.addEventListener(name, ({ target }) => this.near(target.closest("li")));
    this.list.addEventListener("mouseout", () => this.near(null));
  }

  take(data) {
    say(this.root.querySelector(".said"), data.said);
    const told = JSON.stringify([data.notes, data.edges]);
    if (this.told === told) return;
    this.told = told;
    this.data = data;
    this.draw();
    if (!this.watch) (this.watch = new ResizeObserver(() => { if (this.room() !== this.wide) this.draw(); })).observe(this.root);
  }

  // How wide a note is: all columns are seen at once, if that leaves them legible.
  room() {
    const columns = Math.max(...this.data.notes.map(({ column }) => column)) + 1, wide = this.root.querySelector(".roll").clientWidth;
    return Math.round(Math.max(NARROWEST, Math.min(WIDEST, (wide - 2 * EDGE + ACROSS) / columns - ACROSS)));
  }

  draw() {
    const { notes, edges } = this.data, columns = Math.max(...notes.map(({ column }) => column)) + 1;
    this.wide = this.room();
    const wide = columns * (this.wide + ACROSS) - ACROSS + 2 * EDGE, high = this.data.high + 2 * EDGE + 4;
    this.at = new Map(notes.map(({ id, column, down }) => [id, { x: this.across(column), y: EDGE + down - HIGH / 2 }]));
    Object.assign(this.root.querySelector(".plane").style, { width: `${wide}px`, height: `${high}px` });
    for (const [name, value] of [["width", wide], ["height", high], ["viewBox", `0 0 ${wide} ${high}`]]) this.svg.setAttribute(name, value);
    const focused = this.root.getRootNode().activeElement?.closest("li")?.dataset.note;
    this.list.replaceChildren(...[...notes].sort((a, b) => a.column - b.column || a.down - b.down).map((note) => this.item(note)));
    this.svg.replaceChildren(...edges.map((edge) => this.edge(edge)));
    const root = notes.find(({ rank }) => rank === 0);
    if (this.centre !== root.id) {
      this.centre = root.id;
      const roll = this.root.querySelector(".roll"), { x, y } = this.at.get(root.id);
      roll.scrollTo(x + this.wide / 2 - roll.clientWidth / 2, y + HIGH / 2 - roll.clientHeight / 2);
    } else if (focused) this.list.querySelector(`li[data-note="${CSS.escape(focused)}"] button`)?.focus();
    Object.assign(this.root.dataset, { note: root.id, notes: notes.length, edges: edges.length });
  }

  across(column) { return EDGE + column * (this.wide + ACROSS); }

  item({ id, rank, title, about, tells, fate, more }) {
    const button = make("button", { type: "button", title: tells }, make("span", { className: "title", textContent: ends(title, 90) }), make("span", { className: "about", textContent: about }));
    const where = rank < 0 ? "what it was made from" : rank > 0 ? "what was made from it" : "this note";
    button.setAttribute("aria-label", `${where}: ${tells}`);
    if (rank === 0) button.setAttribute("aria-current", "true");
    const item = make("li", { className: [fate === "kept" ? "" : "gone", rank < 0 ? "before" : rank > 0 ? "after" : ""].filter(Boolean).join(" ") }, button);
    if (more) item.append(make("span", { className: "more", textContent: `and ${number(more)} more` }));
    Object.assign(item.dataset, { note: id, rank, fate });
    const { x, y } = this.at.get(id);
    Object.assign(item.style, { left: `${x}px`, top: `${y}px`, width: `${this.wide}px`, height: `${HIGH}px` });
    return item;
  }

  // Bent between two columns, straight where it passes one.
  edge([from, to, spots]) {
    const a = this.at.get(from), b = this.at.get(to), path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    let x = a.x + this.wide, y = a.y + HIGH / 2, way = `M${x} ${y}`;
    const stops = [...spots.map(([column, down]) => [this.across(column), EDGE + down, this.wide]), [b.x, b.y + HIGH / 2, 0]];
    for (const [nextX, nextY, along] of stops) {
      const bend = Math.max(20, (nextX - x) / 2);
      way += `C${x + bend} ${y} ${nextX - bend} ${nextY} ${nextX} ${nextY}${along ? `h${along}` : ""}`;
      [x, y] = [nextX + along, nextY];
    }
    path.setAttribute("d", way);
    Object.assign(path.dataset, { from, to });
    return path;
  }

  near(item) {
    const id = item?.dataset.note;
    for (const path of this.svg.children) path.classList.toggle("near", path.dataset.from === id || path.dataset.to === id);
  }

  // Arrows lead to the nearest note on that side.
  move(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key], item = event.target.closest("li");
    if (!step || !item) return;
    event.preventDefault();
    const here = this.at.get(item.dataset.note);
    let best = null;
    for (const [id, { x, y }] of this.at) {
      const along = (x - here.x) * step[0] + (y - here.y) * step[1], aside = Math.abs((x - here.x) * step[1] + (y - here.y) * step[0]);
      if (along > 0 && (step[0] || aside === 0) && (!best || along + aside * 0.5 < best.far)) best = { id, far: along + aside * 0.5 };
    }
    if (best) this.list.querySelector(`li[data-note="${CSS.escape(best.id)}"] button`).focus();
  }
}
