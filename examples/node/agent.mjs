// An agent in JavaScript, with nothing but a Redis client: it counts the words of pages. See docs/wire.md.
//
//   python -m roost.streams.assemble scripts      (once, where Roost is installed: its scripts, as files)
//   npm install && node agent.mjs /home/me/.roost/server.sock example-plain scripts

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createClient } from "redis";

const [place, flock, scripts] = process.argv.slice(2);
const redis = createClient(place.includes("://") ? { url: place } : { socket: { path: place } });
const prefix = `roost:{${flock}.0}:`, inbox = "node-counter";
const id = () => randomBytes(12).toString("hex"), me = id();

const send = (...words) => redis.sendCommand(words.map(String));
const pairs = (reply) => (Array.isArray(reply)
  ? Object.fromEntries(Array.from({ length: reply.length / 2 }, (_, i) => [reply[2 * i], reply[2 * i + 1]]))
  : { ...reply });
const call = (name, ...words) => send("EVAL", readFileSync(`${scripts}/${name}.lua`, "utf8"), 1, `${prefix}log`, ...words);

// Call a script that appends an event of this type; once more when who wants such events has changed.
async function append(name, type, run, words) {
  for (;;) {
    const generation = await send("HGET", `${prefix}meta`, "generation"); // before the routes: they may be newer
    const routes = Object.entries(pairs(await send("HGETALL", `${prefix}routes`)));
    const to = routes.filter(([, text]) => {
      const takes = JSON.parse(text);
      return takes.types.includes(type) && [null, run].includes(takes.run);
    });
    const answer = await call(name, generation, ...words(to.map(([inbox]) => inbox).join(",")));
    if (answer[0] !== "routes") return answer;
    if (generation.startsWith("held:")) await new Promise((go) => setTimeout(go, 10)); // a rebuild: for a moment
  }
}

async function handle(entry, count, fields) {
  const found = JSON.parse(fields.data), origin = JSON.parse(fields.meta);
  const meta = () => JSON.stringify({ id: id(), time: Date.now(), actor: inbox, run: origin.run, cause: origin.id });
  const page = await append("read", "note.read", origin.run, (to) => ["id", found.note, meta(), to, ...Array(7).fill("")]);
  const counted = JSON.stringify({ name: found.name, words: page[5].trim().split(/\s+/).length });
  const unit = ["D", inbox, me, entry, count, "e", `actor/${inbox}`, "page.counted", meta(), counted]; // both, or neither
  const caller = [id(), 1, id(), 600000];
  console.log(await append("write", "page.counted", origin.run, (to) => [...caller, 1, 2, ...unit, to]));
}

await redis.connect();
await call("open", 1, "{}");
await call("subscribe", inbox, JSON.stringify({ types: ["page.found"], run: null }));
for (;;) {
  const [, left] = await call("take_over", inbox, me, 15000, "0-0", 10); // by one that has died
  for (const [entry, count, fields] of left) await handle(entry, count, pairs(fields));
  const reply = await send("XREADGROUP", "GROUP", "workers", me, "COUNT", 10, "BLOCK", 1000, "STREAMS", `${prefix}inbox:${inbox}`, ">");
  const entries = reply === null ? [] : Array.isArray(reply) ? reply[0][1] : Object.values(reply)[0];
  for (const [entry, fields] of entries) await handle(entry, 1, pairs(fields));
}
