// The picture: agents on perches, notes as lights above them, reuse as threads. Whatever moves is an event of the log.
// All texts come from agents and notes: they become text nodes or canvas text, never markup.

const SECONDS_OF_NEWS = 4;      // older moments are history: they are told, and do not move
const THREAD_MS = 2200;
const FLASH_MS = 700;
const CROSS_MS = 6000;
const STEP_MS = 300;            // between pictures where less motion is wanted: marks come and go, and do not move
const MOST_THREADS = 80;
const MOST_TOLD = 24;
const SILENT_MS = 3 * 60 * 1000; // who was silent for that long before the newest event leaves the picture
const FEW = 5;                   // but for the last few
const HUES = [205, 28, 150, 320, 52, 265, 0, 180];

const pictures = new WeakMap();

export default function ({ data, parentElement }) {
  if (!data) return;
  const root = parentElement.querySelector(".flock");
  if (!root) return;
  let picture = pictures.get(root);
  if (!picture) pictures.set(root, (picture = new Picture(root)));
  picture.take(data);
}

class Picture {
  constructor(root) {
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
    this.frames = 0;
    this.drawn = 0;             // threads ever drawn
    this.fitted = new Map();    // texts, cut to the width they have
    this.last = 0;              // number of the last moment taken
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    new ResizeObserver(() => this.arrange()).observe(this.stage);
    this.stage.addEventListener("pointermove", (event) => this.point(event));
    this.stage.addEventListener("pointerleave", () => (this.hint.hidden = true));
    this.ticking = setInterval(() => this.tick(), 1000);
  }

  now() { return Date.now() + (this.data ? this.data.skew : 0); }

  tick() {
    if (!this.root.isConnected) return clearInterval(this.ticking);
    this.tellStatus();
    this.draw();
  }

  take(data) {
    this.data = data;
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

  theme() {
    const style = getComputedStyle(this.root);
    const back = style.getPropertyValue("--st-background-color") || "#fff";
    this.paint.fillStyle = "#fff";
    this.paint.fillStyle = back.trim();
    const [red, green, blue] = (String(this.paint.fillStyle).match(/[0-9a-f]{2}/gi) || ["ff", "ff", "ff"]).map((two) => parseInt(two, 16));
    this.dark = 0.3 * red + 0.59 * green + 0.11 * blue < 128;
    this.root.classList.toggle("dark", this.dark);
    this.font = style.fontFamily;
    this.ink = this.dark
      ? { top: "#0b1222", foot: "#1d2740", wood: "#8a7560", halo: "rgba(17,25,44,0.85)", text: "#eef2f8", soft: "#aeb9cc", light: "#ffcf70", glow: "255,200,95", thread: "140,195,255", bad: "#ff8a7d", body: 68, edge: "#0b1222" }
      : { top: "#e3edf8", foot: "#fdf7ec", wood: "#7d6650", halo: "rgba(246,246,244,0.85)", text: "#1c2330", soft: "#55617a", light: "#dd8a00", glow: "235,150,20", thread: "35,95,170", bad: "#c2352b", body: 40, edge: "#ffffff" };
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
    const width = Math.max(320, this.stage.clientWidth), count = this.order.length;
    const roomy = count <= Math.max(4, Math.floor(width / 125)), rows2 = count <= 2 * Math.floor(width / 96);
    const least = roomy ? 125 : rows2 ? 96 : count <= 60 ? 88 : 58;
    const across = Math.max(1, Math.min(count, roomy ? count : rows2 ? Math.ceil(count / 2) : Math.floor(width / least)));
    const down = Math.max(1, Math.ceil(count / across));
    const large = count <= 6 && width > 600;
    const high = down === 1 ? 350 : down === 2 ? 200 : count <= 60 ? 112 : 84;
    this.size = { width, height: Math.max(350, down * high) };
    this.form = { wide: width / across, high: this.size.height / down, pitch: large ? 18 : down === 1 ? 15 : down === 2 ? 13 : 10, bird: large ? 20 : down === 1 ? 15 : down === 2 ? 12 : 9, lines: down === 1 ? 3 : down === 2 ? 2 : count <= 60 ? 1 : 0 };
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = width * ratio;
    this.canvas.height = this.size.height * ratio;
    this.canvas.style.height = `${this.size.height}px`;
    this.paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.places = new Map();
    this.order.forEach((id, place) => this.places.set(id, this.cell(place % across, Math.floor(place / across))));
    this.lights.clear();
    this.settle();
    this.draw();
  }

  cell(column, row) {
    const { wide, high, pitch, bird, lines } = this.form;
    const left = column * wide, top = row * high, x = left + wide / 2;
    const perch = top + high - 26 - lines * 15;
    const slots = [];
    for (let y = perch - 2 * bird - pitch; y > top + pitch / 2; y -= pitch)
      for (let step = 0; step * pitch < wide / 2 - pitch; step++)
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
      if (!wanted.has(light.name) && (light.open || light.gone) && !light.crossed) this.drop(light);
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
    if (moment.what === "gone" && this.lights.has(moment.note)) return this.drop(this.lights.get(moment.note));
    if (this.now() - moment.at > SECONDS_OF_NEWS * 1000) return;
    const time = performance.now();
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
    const same = this.threads.find((each) => each.who === moment.who && each.how === moment.what && each.to === to && time - each.from < 400);
    this.drawn += 1;
    if (same) return void (same.count += 1);
    if (this.threads.length >= MOST_THREADS) this.threads.shift();
    this.threads.push({ who: moment.who, how: moment.what, reader, to, from: time, count: 1, name: moment.who.split("\n")[0] });
  }

  // --- drawing ---

  draw() {
    if (this.frame || !this.size) return;
    this.frame = requestAnimationFrame((time) => {
      this.frame = 0;
      if (!this.root.isConnected) return;
      this.threads = this.threads.filter((thread) => time - thread.from < THREAD_MS);
      const moving = this.sketch(time);
      this.frames += 1;
      Object.assign(this.root.dataset, { moving: this.threads.length, frames: this.frames });
      if (!this.threads.length && !moving) return; // nothing happens: nothing is drawn until something does
      if (this.calm.matches) setTimeout(() => this.draw(), STEP_MS);
      else this.draw();
    });
  }

  sketch(time) {
    const { paint, ink, size } = this;
    const sky = paint.createLinearGradient(0, 0, 0, size.height);
    sky.addColorStop(0, ink.top);
    sky.addColorStop(1, ink.foot);
    paint.fillStyle = sky;
    paint.fillRect(0, 0, size.width, size.height);
    if (!this.order.length) this.text("Nobody is here yet. Agents appear with their first event.", size.width / 2, size.height / 2, 15, ink.soft, size.width - 40);
    for (const perch of new Set([...this.places.values()].map((place) => place.perch))) this.line(perch);
    let moving = false;
    for (const light of this.lights.values()) moving = this.light(light, time) || moving;
    for (const thread of this.threads) this.thread(thread, time);
    for (const [id, place] of this.places) this.agent(this.agents.get(id), place); // on top: names stay legible
    return moving;
  }

  line(y) {
    const { paint, ink, size } = this;
    paint.strokeStyle = ink.wood;
    paint.lineWidth = 2.5;
    paint.beginPath();
    paint.moveTo(0, y);
    paint.lineTo(size.width, y);
    paint.stroke();
  }

  light(light, time) {
    const { paint, ink } = this, radius = this.form.pitch * 0.27;
    const age = (this.now() - light.at) / 60000, strong = Math.max(0.42, 1 - age / 20);
    paint.globalAlpha = 1;
    if (light.crossed && time - light.crossed > CROSS_MS) { this.drop(light); return false; }
    if (light.crossed) {
      this.cross(light, radius);
      return true;
    }
    if (light.open) {
      paint.strokeStyle = ink.light;
      paint.lineWidth = 1.5;
      paint.setLineDash([3, 2]);
      this.ring(light, radius + 0.6);
      paint.setLineDash([]);
      return false;
    }
    paint.globalAlpha = strong;
    paint.fillStyle = `rgba(${ink.glow},${this.dark ? 0.2 : 0.16})`;
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
      this.ring(light, radius + 2.2);
    }
    paint.globalAlpha = 1;
    const since = light.flash && !this.calm.matches ? (time - light.flash) / FLASH_MS : 1;
    if (since >= 1 || since < 0) return false;
    paint.strokeStyle = `rgba(${ink.glow},${1 - since})`;
    paint.lineWidth = 2;
    this.ring(light, radius + since * this.form.pitch * 1.5);
    return true;
  }

  ring({ x, y }, radius) {
    this.paint.beginPath();
    this.paint.arc(x, y, radius, 0, 7);
    this.paint.stroke();
  }

  cross({ x, y }, radius) {
    const { paint } = this;
    paint.strokeStyle = this.ink.bad;
    paint.lineWidth = 2;
    paint.beginPath();
    paint.moveTo(x - radius, y - radius);
    paint.lineTo(x + radius, y + radius);
    paint.moveTo(x + radius, y - radius);
    paint.lineTo(x - radius, y + radius);
    paint.stroke();
  }

  agent(agent, place) {
    if (!agent) return;
    const { ink, form } = this;
    const quiet = !agent.tasks && this.now() - agent.last > 30000;
    this.bird(place.x, place.perch, form.bird, hue(agent.name), quiet, place.x > this.size.width / 2);
    if (agent.did === "failed") this.text("!", place.x + form.bird * 1.3, place.perch - form.bird * 1.8, 15, ink.bad, 20, 700);
    const wide = form.wide - 10;
    this.text(agent.name, place.x, place.perch + 16, form.bird > 9 ? 13.5 : 11.5, quiet ? ink.soft : ink.text, wide, 650);
    doing(agent, this.now(), form.lines).forEach((line, at) => this.text(line, place.x, place.perch + 32 + at * 15, form.bird > 9 ? 12 : 11, ink.soft, wide));
  }

  bird(x, perch, size, tint, quiet, turned) {
    const { paint, ink } = this, colour = `hsl(${tint} ${quiet ? 18 : 52}% ${ink.body}%)`;
    paint.save();
    paint.translate(x, perch - size * 0.95);
    if (turned) paint.scale(-1, 1);
    paint.fillStyle = quiet ? ink.foot : colour;
    paint.strokeStyle = colour;
    paint.lineWidth = 1.6;
    paint.lineJoin = "round";
    paint.beginPath();
    paint.moveTo(-size * 1.55, size * 0.75);                                                  // tail
    paint.quadraticCurveTo(-size * 0.7, -size * 0.55, size * 0.15, -size * 0.75);             // back
    paint.bezierCurveTo(size * 0.2, -size * 1.5, size * 1.15, -size * 1.45, size * 1.1, -size * 0.75); // head
    paint.lineTo(size * 1.6, -size * 0.62);                                                   // beak
    paint.lineTo(size * 1.08, -size * 0.42);
    paint.bezierCurveTo(size * 1.15, size * 0.5, size * 0.3, size * 0.95, -size * 0.35, size * 0.72); // breast
    paint.closePath();
    paint.fill();
    paint.stroke();
    paint.fillStyle = quiet ? colour : ink.edge;
    paint.beginPath();
    paint.arc(size * 0.72, -size * 0.9, Math.max(1.2, size * 0.12), 0, 7);                    // eye
    paint.fill();
    paint.strokeStyle = quiet ? colour : ink.edge;
    paint.globalAlpha = 0.75;
    paint.lineWidth = 1.3;
    paint.beginPath();
    paint.moveTo(size * 0.25, -size * 0.25);
    paint.quadraticCurveTo(-size * 0.3, size * 0.45, -size * 0.95, size * 0.4);               // wing
    paint.stroke();
    paint.restore();
  }

  thread(thread, time) {
    const { paint, ink } = this, calm = this.calm.matches;
    const part = (time - thread.from) / THREAD_MS, grown = calm ? 1 : Math.min(1, part / 0.22);
    const fade = calm ? 1 : Math.min(1, (1 - part) / 0.3);
    const from = { x: thread.reader.x, y: thread.reader.perch - this.form.bird };
    const bend = { x: (from.x + thread.to.x) / 2, y: Math.max(4, Math.min(from.y, thread.to.y) - 26 - Math.abs(from.x - thread.to.x) * 0.16) };
    const at = (share) => ({ x: mix(from.x, bend.x, thread.to.x, share), y: mix(from.y, bend.y, thread.to.y, share) });
    const read = thread.how === "read";
    paint.strokeStyle = `rgba(${ink.thread},${fade * (read ? 0.65 : 0.95)})`;
    paint.lineWidth = (read ? 1.2 : 2) + Math.min(2, (thread.count - 1) / 4);
    paint.lineCap = "round";
    paint.setLineDash(thread.how === "joined" ? [7, 6] : read ? [1.5, 5] : []);
    paint.beginPath();
    for (let step = 0; step <= 24; step++) {
      const point = at((step / 24) * grown);
      step ? paint.lineTo(point.x, point.y) : paint.moveTo(point.x, point.y);
    }
    paint.stroke();
    paint.setLineDash([]);
    if (grown < 1) return;
    if (thread.how === "joined") this.waiter(thread, fade);
    const back = calm ? 0 : Math.min(1, Math.max(0, (part - 0.22) / 0.45));
    const note = at(calm ? 0.94 : 1 - back);
    paint.fillStyle = `rgba(${ink.glow},${fade})`;
    paint.beginPath();
    paint.arc(note.x, note.y, read ? 2.5 : 4, 0, 7);
    paint.fill();
  }

  waiter(thread, fade) {
    const { paint } = this, side = thread.reader.x < thread.to.x ? -1 : 1;
    paint.globalAlpha = fade;
    this.bird(thread.to.x + side * 13, thread.to.y + 9, 5.5, hue(thread.name), false, side > 0);
    if (thread.count > 1) this.text(`×${thread.count}`, thread.to.x + side * 26, thread.to.y + 8, 11, this.ink.text, 40);
    paint.globalAlpha = 1;
  }

  text(words, x, y, size, colour, wide, weight = 400) {
    const { paint, ink } = this;
    paint.font = `${weight} ${size}px ${this.font}`;
    paint.textAlign = "center";
    const shown = this.fit(words.slice(0, 200), wide);
    paint.strokeStyle = ink.halo; // what lies behind must not cross it
    paint.lineWidth = 3;
    paint.lineJoin = "round";
    paint.strokeText(shown, x, y);
    paint.fillStyle = colour;
    paint.fillText(shown, x, y);
  }

  // Words cut to a width: at their end, or after a tab at the beginning, since titles differ in how they end.
  fit(words, wide) {
    const { paint } = this, name = `${paint.font}|${Math.round(wide)}|${words}`;
    let shown = this.fitted.get(name);
    if (shown !== undefined) return shown;
    const [verb, title] = words.includes("\t") ? words.split("\t", 2) : ["", words];
    const before = verb ? `${verb} ` : "";
    const cut = (count) => (words.includes("\t") ? `${before}…${title.slice(title.length - count).trimStart()}` : `${title.slice(0, count).trimEnd()}…`);
    shown = before + title;
    if (paint.measureText(shown).width > wide) {
      let least = 0, most = title.length;
      while (least < most) {
        const half = (least + most + 1) >> 1;
        if (paint.measureText(cut(half)).width <= wide) least = half;
        else most = half - 1;
      }
      shown = cut(least);
    }
    if (this.fitted.size > 2000) this.fitted.clear();
    this.fitted.set(name, shown);
    return shown;
  }

  // --- pointing ---

  point(event) {
    const box = this.canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    let words = "";
    for (const light of this.lights.values())
      if (Math.hypot(light.x - x, light.y - y) < this.form.pitch * 0.6)
        words = light.open ? `${light.title}: being computed for ${span(this.now() - light.at)}` : `${light.title} · ${span(this.now() - light.at)} old · read ${light.reads || 0}×, reused ${light.reused || 0}×`;
    for (const [id, place] of this.places) {
      const agent = this.agents.get(id);
      if (!words && agent && Math.abs(place.x - x) < this.form.wide / 2 && y > place.perch - 2 * this.form.bird && y < place.perch + 24 + 16 * this.form.lines)
        words = `${agent.name}${agent.run ? ` in run ${agent.run}` : ""} · ${doing(agent, this.now(), 9).join(" · ").replaceAll("\t", " ")} · ${agent.counts.notes} notes written`;
    }
    this.hint.hidden = !words;
    this.hint.textContent = words;
    this.hint.style.left = `${Math.min(x + 12, box.width - 240)}px`;
    this.hint.style.top = `${Math.min(y + 14, box.height - 50)}px`;
  }

  // --- in words ---

  expose() {
    Object.assign(this.root.dataset, { agents: this.order.length, lights: this.lights.size, threads: this.drawn, moment: this.last });
  }

  tellStatus() {
    const { data } = this;
    this.root.classList.toggle("away", Boolean(data.away));
    const silent = data.agents.length - this.order.length;
    const part = data.earlier ? `figures of the last ${number(data.events)} events, ${number(data.earlier)} came before` : `figures of all ${number(data.events)} events`;
    const words = data.away
      ? `No connection for ${span(Date.now() - data.awaySince)}: ${data.away}. What you see is how it was; it goes on by itself.`
      : `Live: flock ${data.flock} on ${data.server} · ${part}${silent > 0 && this.order.length ? ` · ${silent} silent agents only in the table` : ""}`;
    const line = this.root.querySelector(".status .words");
    if (line.textContent !== words) line.textContent = words;
  }

  tellFigures() {
    const { model, saved, work, notes, reads, agents } = this.data.figures;
    const about = (estimated) => (estimated ? "about " : "");
    const told = [
      ["Model calls made", number(model.calls), model.name || "no model yet"],
      ["Calls saved", number(saved.calls), `${number(work.found)} found, ${number(work.joined)} waited for`],
      ["Tokens spent", short(model.input_tokens + model.output_tokens), `${about(saved.tokens_estimated)}${short(saved.tokens)} saved`],
      ["Cost", money(model.cost_usd), `${money(saved.cost_usd)} saved`],
      ["Notes written", number(notes), `${number(reads)} reads`],
      ["Agents", number(agents), `${number(this.data.agents.filter((agent) => agent.tasks).length)} computing`],
    ];
    const list = this.root.querySelector(".figures");
    told.forEach(([name, value, more], at) => {
      const card = list.children[at] || list.appendChild(make("div", {}, make("dt"), make("dd", { className: "value" }), make("dd", { className: "more" })));
      [name, value, more].forEach((words, part) => { if (card.children[part].textContent !== words) card.children[part].textContent = words; });
    });
  }

  isNews(moment) {
    if (moment.what === "handled") return false; // what came of it is told
    return moment.what !== "read" || (moment.who !== moment.of && !this.isToldAsReuse(moment));
  }

  isToldAsReuse({ who, note }) { return this.reused.includes(`${who} ${note}`); }

  tell(moments, leftOut) {
    const telling = moments.filter((moment) => this.isNews(moment));
    const first = telling.filter((moment) => moment.what !== "claimed" && moment.what !== "read");
    const chosen = (telling.length > MOST_TOLD ? first : telling).slice(-MOST_TOLD);
    const passed = leftOut + telling.length - chosen.length;
    if (passed > 0 && this.log.children.length) this.log.prepend(make("li", { textContent: `… and ${number(passed)} more` }));
    for (const moment of chosen) {
      const item = make("li", { className: moment.what });
      if (moment.note) item.dataset.note = moment.note;
      item.append(make("time", { textContent: clock(moment.at - this.data.skew) }), sentence(moment));
      this.log.prepend(item);
    }
    while (this.log.children.length > MOST_TOLD) this.log.lastElementChild.remove();
  }
}
