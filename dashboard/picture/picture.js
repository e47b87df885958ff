// The picture: agents as birds, their inboxes as branches, notes as lights, reuse as threads. Whatever moves is an event
// of the log.
// All texts come from agents and notes: they become text nodes or canvas text, never markup.

const SECONDS_OF_NEWS = 4;      // older moments are history: they are told, and do not move
const THREAD_MS = 2800;
const FADE_MS = 1600;           // of notes that have expired or were forgotten
const MERGE_MS = 400;
const FLASH_MS = 700;
const CROSS_MS = 6000;
const FRAME_MS = 30;
const STEP_MS = 300;            // between pictures where less motion is wanted: marks come and go, and do not move
const MOST_THREADS = 80;
const MOST_TOLD = 24;
const BUSY = 10;                 // with more news at once, only what comes first is told in words
const SILENT_MS = 3 * 60 * 1000; // who was silent for that long before the newest event leaves the picture
const FEW = 5;                   // but for the last few
const HUES = [205, 28, 150, 320, 52, 265, 0, 180, 95, 235];

const pictures = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  if (!data) return;
  const root = parentElement.querySelector(".flock");
  if (!root) return;
  let picture = pictures.get(root);
  if (!picture) pictures.set(root, (picture = new Picture(root)));
  picture.open = (what) => setTriggerValue("opened", what);
  picture.take(data);
}

class Picture extends Ground {
  constructor(root) {
    super();
    this.root = root;
    this.canvas = root.querySelector("canvas");
    this.stage = root.querySelector(".stage");
    this.hint = root.querySelector(".hint");
    this.log = root.querySelector(".log");
    this.paint = this.canvas.getContext("2d");
    this.order = [];            // of agents, by their first appearance: nobody changes place without need
    this.places = new Map();    // agent -> its cell
    this.lights = new Map();    // note, or "key " + key while it is being computed -> light
    this.guests = new Map();    // authors whose notes were reused, and when
    this.reused = [];           // the last "reader note" that were found or waited for
    this.threads = [];
    this.frames = this.drawnAt = 0;
    this.drawn = 0;             // threads ever drawn
    this.hues = new Map();      // name, and kind of names -> hue, in the order of their appearance
    this.kinds = -1;
    this.letters = new Letters(this.paint);
    this.last = 0;              // number of the last moment taken
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    new ResizeObserver(() => this.arrange()).observe(this.stage);
    this.stage.addEventListener("pointermove", (event) => this.point(event));
    this.stage.addEventListener("pointerleave", () => (this.hint.hidden = true));
    this.stage.addEventListener("click", (event) => this.choose(event));
    this.log.addEventListener("click", (event) => this.opened(event.target.closest("[data-note]")));
    this.ticking = setInterval(() => this.tick(), 1000);
  }

  now() { return this.data && this.data.at !== null ? this.data.at : Date.now() + (this.data ? this.data.skew : 0); }

  tick() {
    if (!this.root.isConnected) return clearInterval(this.ticking);
    this.tellStatus();
    this.draw();
  }

  take(data) {
    if (this.data && data.turn !== this.data.turn) this.turn();
    this.data = data;
    this.inboxes = new Map(data.inboxes.map((inbox) => [inbox.id, inbox]));
    this.agents = new Map(data.agents.map((agent) => [agent.id, agent]));
    this.theme();
    this.tellStatus();
    this.tellFigures();
    const moments = data.moments.filter((moment) => moment.n > this.last);
    if (moments.length) this.last = moments[moments.length - 1].n;
    const reuse = moments.filter((moment) => moment.what === "found" || moment.what === "joined");
    this.reused = [...this.reused, ...reuse.map((moment) => `${moment.who} ${moment.note}`)].slice(-400);
    if (this.seat()) this.arrange();
    else this.settle();
    for (const moment of moments) this.move(moment);
    this.tell(moments, data.leftOut);
    this.expose();
    this.draw();
  }

  // Another story begins: of what was told nothing goes on.
  turn() {
    this.last = 0;
    this.threads = [];
    this.reused = [];
    this.guests.clear();
    this.lights.clear();
    for (const place of this.places.values()) place.taken.clear();
    this.log.replaceChildren();
  }

  isOld(moment) {
    if (this.data.fresh !== null) return moment.n <= this.data.fresh;
    return this.now() - moment.at > SECONDS_OF_NEWS * 1000;
  }

  theme() {
    const style = getComputedStyle(this.root);
    const back = style.getPropertyValue("--st-background-color") || "#fff";
    this.paint.fillStyle = "#fff";
    this.paint.fillStyle = back.trim();
    const [red, green, blue] = (String(this.paint.fillStyle).match(/[0-9a-f]{2}/gi) || ["ff", "ff", "ff"]).map((two) => parseInt(two, 16));
    this.dark = 0.3 * red + 0.59 * green + 0.11 * blue < 128;
    this.root.classList.toggle("dark", this.dark);
    this.font = style.fontFamily;
    this.ink = this.dark ? INKS.dark : INKS.light;
  }

  // --- who sits where ---

  seat() {
    const newest = Math.max(...this.data.agents.map((agent) => agent.last), 0);
    for (const moment of this.data.moments) // whose note is reused is there, however long ago it was written
      if (moment.of && ["found", "joined"].includes(moment.what)) this.guests.set(moment.of, moment.at);
    for (const [id, at] of this.guests) if (at < newest - SILENT_MS) this.guests.delete(id);
    const shown = this.data.agents.filter((agent, place) => place < FEW || agent.tasks || agent.last > newest - SILENT_MS || this.guests.has(agent.id));
    const wanted = new Set(shown.map((agent) => agent.id));
    const staying = this.order.filter((id) => wanted.has(id));
    const known = new Set(staying);
    const coming = shown.filter((agent) => !known.has(agent.id)).sort((a, b) => compare(a.run, b.run) || compare(a.name, b.name));
    const same = !coming.length && staying.length === this.order.length;
    this.order = staying.concat(coming.map((agent) => agent.id));
    return !same;
  }

  arrange() {
    if (!this.data) return;
    const width = Math.max(320, this.stage.clientWidth), rows = this.rows(width);
    const across = Math.max(1, ...rows.map((row) => row.length)), down = Math.max(1, rows.length);
    const crowd = this.order.length > 60, large = down === 1 && across <= 6 && width > 600;
    const high = [350, 200, 158][down - 1] || (crowd ? 84 : 112);
    this.size = { width, height: Math.max(350, down * high) };
    this.form = {
      wide: width / across,
      high: this.size.height / down,
      pitch: large ? 18 : [15, 13, 12][down - 1] || 10,
      bird: large ? 20 : [15, 12, 11][down - 1] || 9,
      lines: [3, 2, 2][down - 1] ?? (crowd ? 0 : 1),
    };
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = width * ratio;
    this.canvas.height = this.size.height * ratio;
    this.canvas.style.height = `${this.size.height}px`;
    this.paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.places = new Map();
    rows.forEach((row, down) => row.forEach((id, across) => this.places.set(id, this.cell(across, down))));
    const names = this.order.map((id) => id.split("\n")[0]);
    this.shared = new Set(names.filter((name, at) => names.indexOf(name) !== at));
    for (const name of names) // of one kind, of one colour: scout-1, scout-2
      if (!this.hues.has(name)) {
        const kind = `kind ${name.replace(/[-_. ]?\d+$/, "")}`;
        if (!this.hues.has(kind)) this.hues.set(kind, HUES[(this.kinds += 1) % HUES.length]);
        this.hues.set(name, this.hues.get(kind));
      }
    this.lights.clear();
    this.settle();
    this.draw();
  }

  // Who sits in which row: a row for each run, if there are a few and they fit; else side by side in as few as do.
  rows(width) {
    const runs = new Map();
    for (const id of this.order) {
      const run = id.split("\n")[1];
      runs.set(run, [...(runs.get(run) || []), id]);
    }
    const groups = [...runs.values()];
    this.runs = groups.length > 1 && groups.length <= 3 && groups.every((group) => group.length * 96 <= width) && this.order.length > 6;
    if (this.runs) return groups;
    const count = this.order.length, most = (least) => Math.max(1, Math.floor(width / least));
    const across = count <= most(125) ? count : count <= 2 * most(96) ? Math.ceil(count / 2) : most(count <= 60 ? 88 : 58);
    const rows = [];
    for (let at = 0; at < count; at += across) rows.push(this.order.slice(at, at + across));
    return rows;
  }

  cell(column, row) {
    const { wide, high, pitch, bird, lines } = this.form;
    const left = column * wide, top = row * high;
    const x = left + wide * (this.runs ? 0.5 + (row % 2 ? 0.16 : -0.16) : 0.5); // not one above the other: threads would be
    const perch = top + high - 26 - lines * 15;
    const slots = [];
    for (let y = perch - 2 * bird - pitch; y > top + pitch / 2; y -= pitch)
      for (let step = 0; step * pitch < wide * (this.runs ? 0.34 : 0.5) - pitch; step++)
        for (const side of step ? [-1, 1] : [0]) slots.push({ x: x + side * step * pitch, y, far: Math.hypot(side * step * pitch, (perch - y) * 0.8) });
    slots.sort((a, b) => a.far - b.far);
    return { left, x, perch, slots: slots.slice(0, 120), taken: new Map() };
  }

  // --- lights: what is being computed, and notes ---

  settle() {
    const wanted = new Set();
    const notes = [...this.data.lights].reverse();
    for (const note of notes) {
      wanted.add(note.note);
      if (!this.places.has(note.who)) continue;
      const light = this.lights.get(note.note) || this.kindle(note);
      if (light) Object.assign(light, { reused: note.reused, reads: note.reads, title: note.title });
    }
    for (const agent of this.data.agents) {
      if (!this.places.has(agent.id)) continue;
      for (const task of agent.doing) {
        const name = `key ${task.key}`;
        wanted.add(name);
        if (!this.lights.has(name)) this.put({ name, who: agent.id, key: task.key, title: task.title, at: task.since, open: true });
      }
    }
    for (const light of [...this.lights.values()])
      if (!wanted.has(light.name) && light.open && !light.crossed) this.drop(light);
  }

  kindle(note) {
    const open = note.key && this.lights.get(`key ${note.key}`);
    const lit = { name: note.note, who: note.who, key: note.key, title: note.title, at: note.at, reused: note.reused, reads: note.reads };
    if (open && open.who === note.who) {
      this.lights.delete(open.name);
      const place = this.places.get(open.who);
      Object.assign(open, lit, { open: false, crossed: 0 });
      place.taken.set(open.slot, open);
      this.lights.set(open.name, open);
      return open;
    }
    return this.put(lit);
  }

  put(light) {
    const place = this.places.get(light.who);
    if (!place || !place.slots.length) return null;
    let slot = place.slots.findIndex((_, at) => !place.taken.has(at));
    if (slot < 0) {
      const oldest = [...place.taken.values()].filter((each) => !each.open).sort((a, b) => a.at - b.at)[0];
      if (!oldest || oldest.at > light.at) return null;
      slot = oldest.slot;
      this.drop(oldest);
    }
    const { x, y } = place.slots[slot];
    Object.assign(light, { slot, x, y });
    place.taken.set(slot, light);
    this.lights.set(light.name, light);
    return light;
  }

  drop(light) {
    this.lights.delete(light.name);
    const place = this.places.get(light.who);
    if (place && place.taken.get(light.slot) === light) place.taken.delete(light.slot);
  }

  // --- moments move it ---

  move(moment) {
    const time = performance.now(), going = moment.what === "gone" && this.lights.get(moment.note);
    if (going && this.isOld(moment)) return this.drop(going);
    if (going) return void (going.fading = time);
    if (this.isOld(moment)) return;
    if (moment.what === "wrote") {
      const light = this.lights.get(moment.note);
      if (light) light.flash = time;
    } else if (moment.what === "failed") {
      const place = this.places.get(moment.who);
      if (!place || !moment.key) return;
      const light = this.lights.get(`key ${moment.key}`) || this.put({ name: `key ${moment.key}`, who: moment.who, key: moment.key, title: moment.about, at: moment.at, open: true });
      if (light && light.who === moment.who) light.crossed = time;
    } else if (["found", "joined", "read"].includes(moment.what)) this.spin(moment, time);
  }

  spin(moment, time) {
    const reader = this.places.get(moment.who), light = this.lights.get(moment.note), author = this.places.get(moment.of);
    if (!reader || (!light && !author)) return;
    if (moment.what === "read" && (moment.who === moment.of || this.isToldAsReuse(moment))) return;
    const to = light || { x: author.x, y: author.perch - this.form.bird };
    const read = moment.what === "read"; // of those there are many: one thread for what somebody reads of the same author at once
    const same = this.threads.find((each) => each.who === moment.who && each.how === moment.what && (each.to === to || (read && each.of === moment.of)) && time - each.from < MERGE_MS);
    this.drawn += 1;
    if (same) return void (same.count += 1);
    if (this.threads.length >= MOST_THREADS) this.threads.shift();
    const beside = this.threads.filter((each) => each.to === to && each.how === "joined").length; // who waited for it, too
    this.threads.push({ beside, beat: this.drawn, who: moment.who, of: moment.of, how: moment.what, reader, to, from: time, count: 1, name: moment.who.split("\n")[0] });
  }

  // --- drawing ---

  draw() {
    if (this.frame || !this.size) return;
    this.frame = requestAnimationFrame((time) => {
      this.frame = 0;
      if (!this.root.isConnected) return;
      if (time - this.drawnAt < FRAME_MS) return this.draw();
      this.drawnAt = time;
      this.threads = this.threads.filter((thread) => time - thread.from < THREAD_MS);
      const moving = this.sketch(time);
      this.frames += 1;
      Object.assign(this.root.dataset, { moving: this.threads.length, frames: this.frames, lights: this.lights.size });
      if (!this.threads.length && !moving) return; // nothing happens: nothing is drawn until something does
      clearTimeout(this.later);
      if (this.calm.matches) this.later = setTimeout(() => this.draw(), STEP_MS);
      else this.draw();
    });
  }

  sketch(time) {
    const { paint, ink, size } = this;
    paint.drawImage(this.scenery(), 0, 0, size.width, size.height);
    if (!this.order.length) this.text("Nobody is here yet. Agents appear with their first event.", size.width / 2, size.height / 2, 15, ink.soft, size.width - 40);
    for (const [id, place] of this.places) this.branch(id, place);
    let moving = false;
    for (const light of [...this.lights.values()]) moving = this.light(light, time) || moving;
    const away = new Map();
    for (const thread of this.threads) {
      this.thread(thread, time);
      if (thread.flies) away.set(thread.who, true);
    }
    for (const [id, place] of this.places) this.agent(this.agents.get(id), place, away.has(id)); // on top: names stay legible
    for (const thread of this.threads) this.fly(thread, time);
    return moving;
  }

  light(light, time) {
    const { paint, ink } = this, radius = this.form.pitch * 0.27;
    const age = (this.now() - light.at) / 60000, strong = Math.max(0.42, 1 - age / 20);
    paint.globalAlpha = 1;
    if (light.fading && time - light.fading > FADE_MS) { this.drop(light); return false; }
    if (light.crossed && time - light.crossed > CROSS_MS) { this.drop(light); return false; }
    if (light.crossed) {
      drawCross(paint, ink, light, radius);
      return true;
    }
    if (light.open) {
      paint.strokeStyle = ink.light;
      paint.lineWidth = 1.5;
      paint.setLineDash([3, 2]);
      drawRing(paint, light, radius + 0.6);
      paint.setLineDash([]);
      return false;
    }
    paint.globalAlpha = light.fading ? strong * (1 - (time - light.fading) / FADE_MS) : strong;
    paint.fillStyle = `rgba(${ink.glow},${ink.shine})`;
    paint.beginPath();
    paint.arc(light.x, light.y, radius * 2, 0, 7);
    paint.fill();
    paint.fillStyle = ink.light;
    paint.beginPath();
    paint.arc(light.x, light.y, radius, 0, 7);
    paint.fill();
    if (light.reused) {
      paint.strokeStyle = ink.light;
      paint.lineWidth = Math.min(3, 1 + light.reused / 4);
      drawRing(paint, light, radius + 2.2);
    }
    paint.globalAlpha = 1;
    if (light.fading) return true;
    const since = light.flash && !this.calm.matches ? (time - light.flash) / FLASH_MS : 1;
    if (since >= 1 || since < 0) return false;
    paint.strokeStyle = `rgba(${ink.glow},${1 - since})`;
    paint.lineWidth = 2;
    drawRing(paint, light, radius + since * this.form.pitch * 1.5);
    return true;
  }

  agent(agent, place, away) {
    if (!agent) return;
    const { ink, form } = this;
    const quiet = !agent.tasks && this.now() - agent.last > 30000;
    drawBird(this.paint, ink, { x: place.x, perch: place.perch, size: form.bird, tint: this.hues.get(agent.name), quiet: quiet || away, turned: place.x > this.size.width / 2 });
    if (agent.did === "failed") this.text("!", place.x + form.bird * 1.3, place.perch - form.bird * 1.8, 15, ink.bad, 20, 700);
    const wide = Math.min(form.wide, 2 * place.x, 2 * (this.size.width - place.x)) - 10;
    const name = this.shared.has(agent.name) && !this.runs && agent.run ? `${agent.name} ${agent.run.slice(0, 4)}` : agent.name;
    this.text(form.lines ? name : `\t${name}`, place.x, place.perch + 16, form.bird > 9 ? 13.5 : 11.5, quiet ? ink.soft : ink.text, wide, 650);
    doing(agent, this.now(), form.lines).forEach((line, at) => this.text(line, place.x, place.perch + 32 + at * 15, form.bird > 9 ? 12 : 11, ink.soft, wide));
  }

  text(words, x, y, size, colour, wide, weight = 400, align = "center") {
    this.letters.write(words, { x, y, wide, colour, halo: this.ink.halo, align, font: `${weight} ${size}px ${this.font}` });
  }

  // --- pointing ---

  // What is there: a light before an agent.
  under(event) {
    const box = this.canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    const lit = [...this.lights.values()].find((light) => Math.hypot(light.x - x, light.y - y) < this.form.pitch * 0.6);
    if (lit) return { light: lit, x, y, box };
    for (const [id, place] of this.places)
      if (this.agents.has(id) && Math.abs(place.x - x) < this.form.wide / 2 && y > place.perch - 2 * this.form.bird && y < place.perch + 24 + 16 * this.form.lines)
        return { agent: this.agents.get(id), x, y, box };
    return { x, y, box };
  }

  point(event) {
    const { light, agent, x, y, box } = this.under(event);
    const words = light ? this.ofLight(light) : agent ? this.ofAgent(agent) : "";
    this.stage.style.cursor = (light && !light.open) || agent ? "pointer" : "";
    this.hint.hidden = !words;
    this.hint.textContent = words;
    this.hint.style.left = `${Math.min(x + 12, box.width - 240)}px`;
    this.hint.style.top = `${Math.min(y + 14, box.height - 50)}px`;
  }

  ofLight(light) {
    const age = span(this.now() - light.at), who = light.who.split("\n")[0];
    return light.open ? `${light.title}: ${who} has been computing it for ${age}` : `${light.title} · by ${who} · ${age} old · read ${light.reads || 0}×, reused ${light.reused || 0}×`;
  }

  ofAgent(agent) {
    const inbox = this.inboxes.get(agent.id);
    const waits = inbox && inbox.length ? ` · ${number(inbox.length)} in its inbox, ${number(inbox.pending)} of them in hand` : "";
    return `${agent.name}${agent.run ? ` in run ${agent.run}` : ""} · ${doing(agent, this.now(), 9).join(" · ").replaceAll("\t", " ")} · ${agent.counts.notes} notes written${waits}`;
  }

  choose(event) {
    const { light, agent } = this.under(event);
    if (light && !light.open) this.open({ note: light.name, at: Date.now() });
    else if (agent) this.open({ agent: agent.name, at: Date.now() });
  }

  opened(item) {
    if (item) this.open({ note: item.dataset.note, at: Date.now() });
  }

  // --- in words ---

  expose() {
    Object.assign(this.root.dataset, { agents: this.order.length, lights: this.lights.size, threads: this.drawn, moment: this.last });
  }

  tellStatus() {
    this.root.classList.toggle("away", Boolean(this.data.away));
    say(this.root.querySelector(".status .words"), statusOf(this.data, this.order.length));
  }

  tellFigures() {
    const list = this.root.querySelector(".figures");
    figuresOf(this.data).forEach((told, at) => {
      const card = list.children[at] || list.appendChild(make("div", {}, make("dt"), make("dd", { className: "value" }), make("dd", { className: "more" })));
      told.forEach((words, part) => say(card.children[part], words));
    });
  }

  isNews(moment) {
    if (moment.what === "handled") return false; // what came of it is told
    return moment.what !== "read" || (moment.who !== moment.of && !this.isToldAsReuse(moment));
  }

  isToldAsReuse({ who, note }) { return this.reused.includes(`${who} ${note}`); }

  tell(moments, leftOut) {
    const telling = moments.filter((moment) => this.isNews(moment));
    const first = telling.filter((moment) => !["claimed", "read", "happened"].includes(moment.what));
    const chosen = (telling.length > BUSY ? first : telling).slice(-MOST_TOLD);
    const passed = leftOut + telling.length - chosen.length;
    if (passed > 0 && this.log.children.length) this.log.prepend(make("li", { textContent: `… and ${number(passed)} more` }));
    for (const moment of chosen) {
      const item = make("li", { className: moment.what }), words = sentence(moment);
      if (moment.note) item.dataset.note = moment.note;
      item.append(make("time", { textContent: clock(moment.at - this.data.skew) }), moment.note ? make("button", { type: "button", title: "Open the note", textContent: words }) : words);
      this.log.prepend(item);
    }
    while (this.log.children.length > MOST_TOLD) this.log.lastElementChild.remove();
  }
}
