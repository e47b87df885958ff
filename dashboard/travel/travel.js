// The bar of time travel. What somebody does is shown at once and told to the page; the page's answer is what counts.
// All texts become text nodes, never markup.

const DEBOUNCE_MS = 150;
const PATIENCE_MS = 4000;   // so long what was done is shown, though the page has not answered yet
const MOST_ACTS = 50;
const WHOLE = 100000;       // steps of the slider
const MARKS = { started: "", ended: "", failed: "✕", parked: "■" };
const MARKED = { started: "┆ a run began", ended: "│ a run ended", failed: "✕ work failed", parked: "■ a delivery was given up", fold: "▨ silence, folded" };

const bars = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const root = data && parentElement.querySelector(".travel");
  if (!root) return;
  let bar = bars.get(root);
  if (!bar) bars.set(root, (bar = new Bar(root)));
  bar.tell = (acts) => setTriggerValue("acts", acts);
  bar.take(data);
}

class Bar {
  constructor(root) {
    this.root = root;
    this.slider = this.find("input");
    this.number = this.sentAt = 0;
    this.unheard = [];
    this.on(".before", "click", () => this.act("step", -1));
    this.on(".after", "click", () => this.act("step", 1));
    this.on(".play", "click", () => this.toggle());
    this.on(".now", "click", () => this.act("now"));
    this.on(".speed", "change", (event) => this.act("speed", Number(event.target.value)));
    this.on(".over", "change", (event) => this.act("over", event.target.value));
    this.slider.addEventListener("input", () => this.drag());
    this.slider.addEventListener("change", () => this.drop());
    root.addEventListener("keydown", (event) => this.press(event));
  }

  find(selector) { return this.root.querySelector(selector); }

  on(selector, event, does) { this.find(selector).addEventListener(event, does); }

  // --- what somebody does ---

  act(what, value = null) {
    this.number += 1;
    this.sentAt = Date.now();
    this.unheard = [...this.unheard, { n: this.number, what, value }].slice(-MOST_ACTS);
    this.tell(this.unheard); // what was not heard is told again: two acts at once may arrive as one
    this.root.dataset.acts = this.number;
  }

  toggle() { this.act(this.root.dataset.state === "playing" ? "pause" : "play"); }

  drag() {
    const share = this.slider.value / WHOLE, ms = this.ms(share);
    this.sentAt = Date.now();
    this.dragged = ms;
    this.place(share);
    this.say("past", `${this.about(ms)} · about event ${number(this.by(share))} of ${number(this.data.count)}`);
    clearTimeout(this.later);
    this.later = setTimeout(() => this.drop(), DEBOUNCE_MS);
  }

  drop() {
    clearTimeout(this.later);
    if (this.dragged === null || this.dragged === undefined) return;
    this.act("seek", this.dragged);
    this.dragged = null;
  }

  press(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.tagName === "SELECT" || this.slider.disabled) return;
    const onButton = event.target.tagName === "BUTTON", step = event.shiftKey ? 10 : 1;
    const at = this.slider.value / WHOLE;
    if (event.key === "ArrowLeft" || event.key === "ArrowDown") this.act("step", -step);
    else if (event.key === "ArrowRight" || event.key === "ArrowUp") this.act("step", step);
    else if (event.key === "Home") this.act("seek", this.ms(0));
    else if (event.key === "End") this.act("seek", this.ms(1));
    else if (event.key === "PageUp") this.act("seek", this.ms(Math.max(0, at - 0.05)));
    else if (event.key === "PageDown") this.act("seek", this.ms(Math.min(1, at + 0.05)));
    else if (event.key === "Escape") this.act("now");
    else if (event.key === " " && !onButton) this.toggle();
    else return;
    event.preventDefault();
  }

  // --- what the page says ---

  take(data) {
    this.data = data;
    this.number = Math.max(this.number, data.heard);
    this.unheard = this.unheard.filter((act) => act.n > data.heard);
    this.theme();
    const empty = !data.axis.length;
    for (const each of this.root.querySelectorAll("input, button, .speed")) each.disabled = empty;
    this.choices(".over", data.runs.map(([id, at, ended]) => [id, id ? `Run ${id.slice(0, 8)} · ${clock(at - data.skew)}${ended ? "" : " · not ended"}` : "The whole log"]), data.run || "");
    this.choices(".speed", data.speeds.map((speed) => [String(speed), `${speed}×`]), String(data.speed));
    if (empty) return this.expose("now"), this.say("now", data.share < 1 ? "" : "Nothing has happened yet.");
    this.sketch();
    const waits = this.unheard.length || (this.dragged !== null && this.dragged !== undefined);
    if (waits && Date.now() - this.sentAt < PATIENCE_MS) return; // it would jump back, and forth again
    const state = data.plays ? "playing" : data.at === null ? "now" : "past";
    this.place(data.at === null ? 1 : this.share(data.at));
    this.say(state, this.words());
    this.expose(state);
  }

  theme() {
    const probe = document.createElement("canvas").getContext("2d");
    probe.fillStyle = getComputedStyle(this.root).getPropertyValue("--st-background-color").trim() || "#fff";
    const [red, green, blue] = (String(probe.fillStyle).match(/[0-9a-f]{2}/gi) || ["ff", "ff", "ff"]).map((two) => parseInt(two, 16));
    this.root.classList.toggle("dark", 0.3 * red + 0.59 * green + 0.11 * blue < 128);
  }

  choices(selector, wanted, chosen) {
    const list = this.find(selector), key = JSON.stringify(wanted);
    if (list.dataset.of !== key) {
      list.dataset.of = key;
      list.replaceChildren(...wanted.map(([value, textContent]) => make("option", { value, textContent })));
    }
    if (list !== this.root.getRootNode().activeElement || !this.unheard.length) list.value = chosen;
  }

  expose(state) {
    const { at, count, number: passed, run, axis } = this.data;
    Object.assign(this.root.dataset, { state, at: at === null ? "" : at, number: passed, count, run: run || "", heard: this.data.heard, first: axis.length ? axis[0][0] : "", last: axis.length ? axis[axis.length - 1][1] : "" });
    const play = this.find(".play"), label = state === "playing" ? "Pause" : "Play";
    play.setAttribute("aria-label", label);
    play.title = `${label} (space)`;
    this.find(".words").setAttribute("aria-live", state === "past" ? "polite" : "off"); // while it plays it would never be silent
  }

  // --- in words ---

  say(state, words) {
    const { share } = this.data;
    const reads = share < 1 ? `Reading the log: ${Math.floor(share * 100)} %. ` : "";
    say(this.find(".state"), state === "now" ? "Now." : state === "playing" ? `Playing at ${this.data.speed}×.` : "As it was.");
    say(this.find(".told"), reads + words);
    this.slider.setAttribute("aria-valuetext", state === "now" ? "now" : words);
  }

  words() {
    const { at, number: passed, count, position, plays, skipped, ended, over, coarse, run } = this.data;
    if (at === null) return `${number(count)} events ${run ? "of the run " : ""}since ${this.moment(this.data.axis[0][0])}. Slide back to see how it was.`;
    const parts = [this.about(at), `event ${number(passed)} of ${number(count)}`];
    if (position) parts.push(`position ${position}`);
    if (skipped && plays) parts.push(`${span(skipped)} of silence are skipped`);
    if (ended) parts.push(run && over ? "here the run ended" : `the ${run ? "run" : "log"}’s last event so far`);
    if (coarse) parts.push("a step goes over several events, as there are so many");
    return parts.join(" · ");
  }

  about(ms) {
    const { axis, run } = this.data, first = axis[0][0], last = axis[axis.length - 1][1];
    if (ms < first) return `${this.moment(ms)}, before the ${run ? "run began" : "log begins"}, which is at ${this.moment(first)}`;
    if (ms > last) return `${this.moment(ms)}, ${into(ms - last)} after the ${run ? "run’s" : "log’s"} last event`;
    return `${this.moment(ms)}, ${into(ms - first)} into the ${run ? "run" : "log"} of ${into(last - first)}`;
  }

  moment(ms) {
    const time = new Date(ms - this.data.skew), today = new Date().toDateString() === time.toDateString();
    const fine = `${clock(time)}.${String(time.getMilliseconds()).padStart(3, "0")}`;
    return today ? fine : `${time.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" })} ${fine}`;
  }

  // --- the axis, on which long pauses are folded ---

  ms(share) {
    const [from, to, begins, ends] = this.data.axis.find((stretch) => share <= stretch[3]) || this.data.axis[this.data.axis.length - 1];
    return from + Math.round((to - from) * Math.min(1, Math.max(0, ends > begins ? (share - begins) / (ends - begins) : 1)));
  }

  share(ms) {
    const [from, to, begins, ends] = this.data.axis.find((stretch) => ms <= stretch[1]) || this.data.axis[this.data.axis.length - 1];
    return begins + (ends - begins) * Math.min(1, Math.max(0, to > from ? (ms - from) / (to - from) : 1));
  }

  by(share) {
    const { bars: counts } = this.data, place = share * counts.length, whole = Math.min(counts.length, Math.floor(place));
    const before = counts.slice(0, whole).reduce((sum, count) => sum + count, 0);
    return Math.round(before + (counts[whole] || 0) * (place - whole));
  }

  place(share) {
    this.slider.value = Math.round(share * WHOLE);
    this.find(".passed").style.clipPath = `inset(0 ${(1 - share) * 100}% 0 0)`;
  }

  sketch() {
    const { bars: counts, axis, marks } = this.data, drawn = JSON.stringify([counts, axis, marks]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const most = Math.max(1, ...counts), picture = this.find(".bars");
    const path = counts.map((count, at) => {
      const high = count ? 8 + 92 * Math.sqrt(count / most) : 0; // a single event is to be seen, too
      return count ? `M${at} 100v-${high.toFixed(1)}h0.8v${high.toFixed(1)}z` : "";
    });
    picture.setAttribute("viewBox", `0 0 ${counts.length} 100`);
    for (const each of picture.children) each.setAttribute("d", path.join(""));
    const folds = axis.filter((stretch) => stretch[4]).map(([, , begins, ends]) => {
      const fold = make("span", { className: "fold" });
      Object.assign(fold.style, { left: `${begins * 100}%`, width: `${(ends - begins) * 100}%` });
      return fold;
    });
    const shown = marks.map(([share, kind, count]) => {
      const mark = make("span", { className: kind, textContent: MARKS[kind] });
      mark.dataset.count = count;
      mark.style.left = `${share * 100}%`;
      return mark;
    });
    this.find(".marks").replaceChildren(...folds, ...shown);
    const kinds = new Map();
    for (const [, kind, count] of marks) kinds.set(kind, (kinds.get(kind) || 0) + count);
    if (folds.length) kinds.set("fold", folds.length);
    const told = Object.keys(MARKED).filter((kind) => kinds.has(kind));
    this.find(".legend").replaceChildren(...told.map((kind) => make("li", { className: kind, textContent: kinds.get(kind) > 1 ? `${MARKED[kind]} (${number(kinds.get(kind))})` : MARKED[kind] })));
    Object.assign(this.root.dataset, { folds: folds.length, marks: shown.length });
  }
}

function into(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 100) return `${seconds.toFixed(1)} s`;
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].map(([wide, name], at, all) => [Math.floor((at ? seconds % all[at - 1][0] : seconds) / wide), name]);
  return parts.slice(parts.findIndex(([count]) => count)).slice(0, 2).map(([count, name]) => `${count} ${name}`).join(" ");
}
