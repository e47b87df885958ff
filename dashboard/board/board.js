// Runs that were started here, a card each, kept up in place so that a button does not go away under a finger.

const boards = new WeakMap();
const STATES = { running: "at work", stopping: "stopping", done: "done", incomplete: "not complete", stopped: "stopped", failed: "failed" };

export default function ({ data, parentElement, setTriggerValue }) {
  const root = data && parentElement.querySelector(".board");
  if (!root) return;
  let board = boards.get(root);
  if (!board) boards.set(root, (board = new Board(root)));
  board.tell = (what, id) => setTriggerValue("acts", { what, id });
  board.show(data);
}

class Board {
  constructor(root) {
    this.root = root;
    this.list = root.querySelector("ol");
    this.cards = new Map();
  }

  show({ runs, picked, stops }) {
    const [red, green, blue] = (getComputedStyle(this.root).color.match(/[\d.]+/g) || [0, 0, 0]).map(Number);
    this.root.classList.toggle("dark", 0.3 * red + 0.59 * green + 0.11 * blue > 128);
    this.root.querySelector(".none").hidden = runs.length > 0;
    this.root.dataset.runs = runs.length;
    this.root.dataset.working = runs.filter(({ over }) => !over).length;
    const gone = new Map(this.cards);
    runs.forEach((run, place) => {
      const card = this.cards.get(run.id) || this.card(run.id);
      gone.delete(run.id);
      if (this.list.children[place] !== card.item) this.list.insertBefore(card.item, this.list.children[place] || null);
      this.fill(card, run, run.id === picked, stops);
    });
    for (const [id, card] of gone) { card.item.remove(); this.cards.delete(id); }
  }

  card(id) {
    const title = make("h3"), state = make("span", { className: "state" }), about = make("p", { className: "about" });
    const fill = make("div", { className: "fill" }), track = make("div", { className: "track" }, fill);
    track.setAttribute("role", "progressbar");
    track.setAttribute("aria-label", "Progress");
    const figures = make("dl"), said = make("p", { className: "said" });
    const act = (what, words) => make("button", { type: "button", textContent: words, onclick: () => this.tell(what, id) });
    const stop = act("stop", "Stop"), open = act("open", "Report");
    const links = ["live", "run"].map((page) => make("a", {
      textContent: page === "live" ? "Live" : "Run",
      onclick: (event) => {  // the page is changed without loading all of it anew, unless another tab is wanted
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
        event.preventDefault();
        this.tell(page, id);
      },
    }));
    const doing = make("div", { className: "doing" }, open, ...links, stop);
    const item = make("li", {}, make("div", { className: "head" }, title, state), about, track, figures, said, doing);
    item.dataset.id = id;
    const card = { item, title, state, about, fill, track, figures, said, stop, open, links, cells: new Map() };
    this.cards.set(id, card);
    return card;
  }

  fill(card, run, picked, stops) {
    const names = `${run.state}${picked ? " picked" : ""}`;
    if (card.item.className !== names) card.item.className = names;
    Object.assign(card.item.dataset, { run: run.run, state: run.state });
    say(card.title, run.title);
    say(card.state, run.over ? `${STATES[run.state]}, ${run.seconds} s` : `${STATES[run.state]} for ${Math.floor(run.seconds)} s`);
    say(card.about, `${run.files} · ${run.how} · started ${clock(run.at)}`);
    const percent = Math.round(run.share * 100);
    card.fill.style.width = `${percent}%`;
    card.track.setAttribute("aria-valuenow", percent);
    card.track.hidden = run.over;
    this.figures(card, run);
    say(card.said, run.state === "done" || !run.said ? "" : `${run.said[0].toUpperCase()}${run.said.slice(1)}`);
    card.stop.hidden = run.over || !stops;
    card.stop.disabled = run.state === "stopping";
    card.open.hidden = !["done", "incomplete"].includes(run.state) || picked;
    for (const [at, page] of ["live", "run"].entries()) {
      card.links[at].hidden = !run.run || !run.own;
      card.links[at].href = page === "live" ? "/?page=live" : `/run?run=${encodeURIComponent(run.run)}`;
    }
  }

  figures(card, run) {
    const of = ([done, all]) => (all ? `${number(done)} of ${number(all)}` : "");
    const shown = run.run ? {
      documents: of(run.documents), sections: of(run.sections), answers: of(run.answers),
      calls: number(run.calls), reused: number(run.reused), tokens: number(run.tokens), "tokens saved": number(run.saved),
      retried: run.retried ? number(run.retried) : "", "given up": run.given_up ? number(run.given_up) : "",
    } : {};
    for (const [name, words] of Object.entries(shown)) {
      let cell = card.cells.get(name);
      if (!cell) {
        card.cells.set(name, (cell = make("dd")));
        card.figures.append(make("div", {}, make("dt", { textContent: name }), cell));
      }
      say(cell, words);
      cell.parentElement.hidden = !words;
    }
  }
}
