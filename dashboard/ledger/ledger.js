// The ledger: tables that are kept up in place, row by row, so that nothing flickers and a selection stays.

const QUIET_MS = 60000;
const ledgers = new WeakMap();

export default function ({ data, parentElement }) {
  const root = data && parentElement.querySelector(".ledger");
  if (!root) return;
  let ledger = ledgers.get(root);
  if (!ledger) ledgers.set(root, (ledger = new Ledger(root)));
  ledger.take(data);
}

class Ledger {
  constructor(root) {
    this.root = root;
    this.ticking = setInterval(() => (root.isConnected ? this.show() : clearInterval(this.ticking)), 1000);
  }

  take(data) {
    this.data = data;
    this.show();
  }

  show() {
    const now = this.data.at ?? Date.now() + this.data.skew, { agents, notes, figures } = this.data;
    this.fill("agents", agents.map((agent) => this.agent(agent, now)), "Nobody is here yet.");
    this.fill("notes", notes.map((note) => this.note(note, now)), "No note has been written yet.");
    const kinds = Object.entries(figures.work.by_kind).map(([kind, of]) => ({ id: kind, cells: [kind, ...[of.computed, of.found, of.joined].map(number)], classes: ["", "count", "count", "count"] }));
    this.fill("kinds", kinds, "No work has been shared yet.");
    this.fill("usage", usage(figures).map((cells) => ({ id: cells[0], cells, classes: ["", "count", "count"] })), "");
  }

  agent(agent, now) {
    const { notes, reads, computed, found, joined, handled, errors } = agent.counts;
    const busy = agent.tasks ? ends(agent.doing[0].title) + (agent.tasks > 1 ? ` · and ${number(agent.tasks - 1)} more` : "") : act(agent);
    return {
      id: agent.id,
      row: agent.tasks || now - agent.last < QUIET_MS ? "" : "quiet",
      cells: [agent.name, /^[0-9a-f]{24}$/.test(agent.run) ? agent.run.slice(0, 8) : agent.run, agent.tasks ? `computes ${busy}` : busy, agent.tasks ? span(now - agent.since) : "", `${span(now - agent.last)} ago`, ...[notes, reads, computed, found, joined, handled, errors].map(number)],
      classes: ["", "id", "what", "when", "when", "count", "count", "count", "count", "count", "count", errors ? "count bad" : "count"],
    };
  }

  note(note, now) {
    return {
      id: note.note,
      cells: [note.note.slice(0, 8), note.title === note.key || note.title === note.note ? note.tags.join(", ") : ends(note.title, 60), (note.key || "").slice(0, 60), note.author || "", span(now - note.at), number(note.size), number(note.reads), number(note.reused), note.words || ""],
      classes: ["id", "", "id", "", "when", "count", "count", "count", "what"],
      link: note.url, // of the span that wrote it
    };
  }

  fill(name, rows, none) {
    const body = this.root.querySelector(`table.${name} tbody`);
    const there = new Map([...body.children].map((row) => [row.dataset.id, row]));
    if (!rows.length && none) {
      if (!body.querySelector(".none")) body.replaceChildren(make("tr", {}, make("td", { className: "none", colSpan: 12, textContent: none })));
      return;
    }
    rows.forEach((given, place) => {
      const row = there.get(given.id) || this.row(given);
      there.delete(given.id);
      if (body.children[place] !== row) body.insertBefore(row, body.children[place] || null);
      row.className = given.row || "";
      given.cells.forEach((words, at) => {
        const cell = row.children[at];
        const link = at === 0 && given.link;
        if (cell.textContent !== words || Boolean(link) !== Boolean(cell.firstElementChild)) {
          cell.replaceChildren(link ? make("a", { href: link, target: "_blank", rel: "noopener", textContent: words }) : words);
          cell.title = words;
        }
        if (cell.className !== given.classes[at]) cell.className = given.classes[at];
      });
    });
    for (const row of there.values()) row.remove();
    for (const row of [...body.children]) if (row.dataset.id === undefined) row.remove();
  }

  row(given) {
    const row = make("tr", {}, ...given.cells.map((_, at) => (at ? make("td") : make("th", { scope: "row" }))));
    row.dataset.id = given.id;
    return row;
  }
}

function usage({ model, saved }) {
  const about = (estimated, words) => (estimated && words !== "0" ? `about ${words}` : words);
  return [
    ["Calls", number(model.calls), number(saved.calls)],
    ["Tokens", about(model.tokens_estimated, number(model.input_tokens + model.output_tokens)), about(saved.tokens_estimated, number(saved.tokens))],
    ["of them input", number(model.input_tokens), ""],
    ["of them output", number(model.output_tokens), ""],
    ["Cost", money(model.cost_usd), money(saved.cost_usd)],
    ["Computing", "", span(saved.seconds * 1000)],
    ["Calls that failed", number(model.failed), ""],
    ["Models", model.name || "none yet", ""],
  ];
}
