// Who did what when. Bars are anchors where Jaeger shows their span; all words are text.

const SVG = "http://www.w3.org/2000/svg";
const BAR = 6, GAP = 1.5, HEAD = 22, PAD = 8;
const PHASE_WORDS = { read: "reading", map: "map", shuffle: "shuffle", reduce: "reduce", other: "other" };
const gantts = new WeakMap();

export default function ({ data, parentElement }) {
  const root = data && parentElement.querySelector(".gantt");
  if (!root) return;
  let gantt = gantts.get(root);
  if (!gantt) gantts.set(root, (gantt = new Gantt(root)));
  gantt.take(data);
}

function draw(tag, given = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(given)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

class Gantt {
  constructor(root) {
    this.root = root;
    this.svg = root.querySelector("svg");
    this.stage = root.querySelector(".stage");
    this.hint = root.querySelector(".hint");
    this.view = null;
    new ResizeObserver(() => this.draw()).observe(this.stage);
    root.querySelector(".in").onclick = () => this.zoom(0.6);
    root.querySelector(".out").onclick = () => this.zoom(1 / 0.6);
    root.querySelector(".all").onclick = () => { this.view = null; this.draw(); };
    this.stage.addEventListener("keydown", (event) => this.key(event));
    this.stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return; // the page scrolls
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 0.8 : 1.25, this.share(event));
    }, { passive: false });
    this.svg.addEventListener("pointerdown", (event) => this.pull(event));
    this.stage.addEventListener("pointermove", (event) => this.point(event));
    this.stage.addEventListener("pointerleave", () => (this.hint.hidden = true));
    this.stage.addEventListener("focusin", (event) => this.tell(event.target));
  }

  take(data) {
    const told = JSON.stringify(data);
    if (told === this.told) return;
    if (this.data && this.data.run !== data.run) this.view = null;
    this.told = told;
    this.data = data;
    this.draw();
  }

  get range() { return this.view || [0, Math.max(this.data.wall, 0.001)]; }

  zoom(factor, about = 0.5) {
    const [from, to] = this.range, whole = Math.max(this.data.wall, 0.001);
    const wide = Math.min(whole, Math.max(0.002, (to - from) * factor));
    this.move(from + (to - from - wide) * about, wide);
  }

  move(from, wide) {
    const whole = Math.max(this.data.wall, 0.001);
    const start = Math.min(Math.max(0, from), whole - wide);
    this.view = wide >= whole ? null : [start, start + wide];
    this.draw();
  }

  key(event) {
    const [from, to] = this.range, wide = to - from;
    const acts = { "+": () => this.zoom(0.6), "=": () => this.zoom(0.6), "-": () => this.zoom(1 / 0.6), ArrowLeft: () => this.move(from - wide / 4, wide), ArrowRight: () => this.move(from + wide / 4, wide), 0: () => { this.view = null; this.draw(); } };
    if (acts[event.key]) { event.preventDefault(); acts[event.key](); }
  }

  share(event) {
    const box = this.svg.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left - this.left) / (box.width - this.left - PAD)));
  }

  pull(event) {
    if (event.target.closest("a") || !this.view) return;
    const [from, to] = this.range, start = this.share(event);
    const pulled = (moved) => this.move(from - (this.share(moved) - start) * (to - from), to - from);
    const ended = () => { removeEventListener("pointermove", pulled); removeEventListener("pointerup", ended); this.svg.classList.remove("pulled"); };
    this.svg.classList.add("pulled");
    addEventListener("pointermove", pulled);
    addEventListener("pointerup", ended);
  }

  draw() {
    if (!this.data) return;
    const wide = this.stage.clientWidth || 800;
    this.left = wide < 600 ? 92 : 150;
    const [from, to] = this.range, room = wide - this.left - PAD;
    const x = (at) => this.left + ((at - from) / (to - from)) * room;
    const parts = [];
    let y = HEAD, phase = "", bars = 0, steps = 0;
    for (const agent of this.data.agents) {
      const lines = (of) => of.reduce((most, [line]) => Math.max(most, line + 1), 0);
      const hand = lines(agent.hand), computed = lines(agent.computed);
      const high = Math.max(30, (hand + computed) * (BAR + GAP) + 14);
      if (agent.phase !== phase) parts.push(draw("line", { class: "axis", x1: 0, x2: wide, y1: y, y2: y }));
      if (this.data.agents.indexOf(agent) % 2) parts.push(draw("rect", { class: "band", x: 0, y, width: wide, height: high }));
      const name = draw("text", { x: 8, y: y + 14 });
      name.textContent = ends(agent.name, wide < 600 ? 12 : 21);
      const kind = draw("text", { class: "soft", x: 8, y: y + 26 });
      kind.textContent = agent.phase === phase && wide < 600 ? "" : PHASE_WORDS[agent.phase] || agent.phase;
      phase = agent.phase;
      parts.push(name, kind);
      const rows = draw("g", { "data-agent": agent.name });
      bars += this.bars(rows, agent, agent.hand, y + 4, x, "hand", from, to);
      bars += this.bars(rows, agent, agent.computed, y + 4 + hand * (BAR + GAP), x, "computed", from, to);
      for (const [since, until, wait, what] of agent.path) {
        steps += 1;
        if (until < from || since - wait > to) continue;
        const at = y + high - 5, words = `The end of the run waited for this: ${agent.name} worked ${seconds(until - since)} on ${what}, after ${seconds(wait)} in the inbox`;
        if (wait > 0) rows.append(draw("line", { class: "wait", x1: Math.max(this.left, x(since - wait)), x2: Math.max(this.left, x(since)), y1: at, y2: at, "data-words": words }));
        rows.append(draw("line", { class: "path", x1: Math.max(this.left, x(since)), x2: Math.max(this.left + 1.5, x(until), x(since) + 1.5), y1: at, y2: at, "data-words": words }));
      }
      parts.push(rows);
      y += high;
    }
    this.svg.setAttribute("height", y + 4);
    this.svg.setAttribute("viewBox", `0 0 ${wide} ${y + 4}`);
    this.svg.replaceChildren(...this.axis(x, y, from, to, room), ...parts);
    Object.assign(this.root.dataset, { agents: this.data.agents.length, bars, path: steps, from: from.toFixed(3), to: to.toFixed(3) });
    this.legend();
    const { leftOut, moreAgents } = this.data;
    const out = [leftOut ? `the ${number(leftOut)} shortest pieces of work` : "", moreAgents ? `${number(moreAgents)} more agents` : ""].filter(Boolean).join(" and ");
    say(this.root.querySelector(".words"), !this.data.agents.length ? "Nothing was done yet." : `Pale: in hand, from its inbox. Full: computing. The line below a row is the critical path: what the end of the run had to wait for, dotted where that waited itself.${out ? ` Left out: ${out}.` : ""}`);
  }

  bars(rows, agent, bars, top, x, kind, from, to) {
    for (const [line, start, end, what, trouble, url] of bars) {
      if (end < from || start > to) continue;
      const left = Math.max(this.left, x(start)), right = Math.max(left + 1.5, x(Math.min(end, to)));
      const bar = draw("rect", { class: `${kind}${trouble ? " bad" : ""}`, x: left, y: top + line * (BAR + GAP), width: right - left, height: BAR, rx: 1.5, fill: `var(--${agent.phase})` });
      const did = kind === "hand" ? "had in hand" : "computed";
      bar.dataset.words = `${agent.name} ${did} ${what} for ${seconds(end - start)}, from ${seconds(start)} on${trouble ? `: ${trouble}` : ""}${url ? ". A click opens its span" : ""}`;
      if (/^https?:/.test(url)) rows.append(draw("a", { href: url, target: "_blank", rel: "noopener", "aria-label": bar.dataset.words }, bar));
      else rows.append(bar);
    }
    return bars.length;
  }

  axis(x, high, from, to, room) {
    const steps = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400];
    const step = steps.find((each) => (each / (to - from)) * room > 70) || 86400, parts = [];
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
      parts.push(draw("line", { class: "axis", x1: x(at), x2: x(at), y1: HEAD - 6, y2: high }));
      const words = draw("text", { class: "soft", x: x(at) + 3, y: 13 });
      words.textContent = seconds(at);
      parts.push(words);
    }
    return parts;
  }

  legend() {
    const there = [...new Set(this.data.agents.map(({ phase }) => phase))];
    const legend = this.root.querySelector(".legend");
    if (legend.dataset.there === there.join()) return;
    legend.dataset.there = there.join();
    legend.replaceChildren(...there.map((phase) => {
      const mark = make("i");
      mark.style.background = `var(--${phase})`;
      return make("span", {}, mark, PHASE_WORDS[phase] || phase);
    }));
  }

  point(event) {
    const box = this.stage.getBoundingClientRect();
    this.tell(event.target, event.clientX - box.left, event.clientY - box.top + this.stage.scrollTop);
  }

  tell(element, x, y) {
    const marked = element.closest("[data-words]") || (element.querySelector && element.tagName === "a" ? element.querySelector("[data-words]") : null);
    this.hint.hidden = !marked;
    if (!marked) return;
    this.hint.textContent = marked.dataset.words;
    if (x === undefined) {
      const of = marked.getBoundingClientRect(), box = this.stage.getBoundingClientRect();
      [x, y] = [of.left - box.left, of.top - box.top + this.stage.scrollTop];
    }
    this.hint.style.left = `${Math.max(4, Math.min(x + 12, this.stage.clientWidth - 350))}px`;
    this.hint.style.top = `${y + 16}px`;
  }
}

function seconds(amount) {
  if (amount < 0.0995) return `${Math.round(amount * 1000)} ms`;
  if (amount < 100) return `${Number(amount.toFixed(amount < 10 ? 1 : 0))} s`;
  return amount < 7200 ? `${Math.floor(amount / 60)} min${Math.round(amount % 60) ? ` ${Math.round(amount % 60)} s` : ""}` : `${(amount / 3600).toFixed(1)} h`;
}
