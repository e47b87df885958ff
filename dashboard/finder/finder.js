// What notes are looked for. What somebody types is told after a pause; what the page answers does not take it away.

const PAUSE_MS = 350;
const LISTS = ["authors", "runs", "tags"];
const finders = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const root = data && parentElement.querySelector(".finder");
  if (!root) return;
  let finder = finders.get(root);
  if (!finder) finders.set(root, (finder = new Finder(root)));
  finder.tell = (asked) => setTriggerValue("asked", asked);
  finder.take(data);
}

class Finder {
  constructor(root) {
    this.root = root;
    this.form = root.querySelector("form");
    this.number = 0;
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.ask(); });
    this.form.addEventListener("input", (event) => { if (event.target.type === "search") this.later(); });
    this.form.addEventListener("change", () => this.ask());
    this.on(".clear", () => { for (const field of this.fields()) field.value = field.options ? field.options[0].value : ""; this.ask(); });
    this.on(".inside", () => this.ask({ inside: !this.data.inside }));
    this.on(".before", () => this.ask({ page: this.data.page - 1 }));
    this.on(".after", () => this.ask({ page: this.data.page + 1 }));
  }

  on(selector, does) { this.root.querySelector(selector).addEventListener("click", does); }

  fields() { return [...this.form.elements].filter(({ name }) => name); }

  values() { return Object.fromEntries(this.fields().map(({ name, value }) => [name, value])); }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), PAUSE_MS);
  }

  ask(more = {}) {
    clearTimeout(this.timer);
    this.timer = null;
    const values = this.values(), asked = JSON.stringify({ ...values, ...more });
    if (!Object.keys(more).length && JSON.stringify(values) === this.known) return;
    this.known = JSON.stringify(values);
    this.number += 1;
    this.root.dataset.asked = this.number;
    this.tell({ n: this.number, ...JSON.parse(asked) });
  }

  take(data) {
    this.data = data;
    for (const [name, options] of Object.entries(data.choices)) this.choices(this.form.elements[name], options);
    for (const list of LISTS) this.offers(this.root.querySelector(`#${list}`), data[list]);
    if (!this.root.dataset.heard) this.number = data.heard; // this component is new, the session is not
    const answered = data.heard >= this.number || this.number === 0;
    if (!this.timer && (answered || data.heard === 0)) { // else the answer is to an older question
      for (const field of this.fields()) {
        const value = data.values[field.name] ?? "";
        if (field.value !== value && this.root.getRootNode().activeElement !== field) field.value = value;
      }
      this.known = JSON.stringify(this.values());
    }
    say(this.root.querySelector(".told"), data.told);
    const inside = this.root.querySelector(".inside");
    say(inside, data.inside ? "Not in contents" : "Look into contents");
    inside.hidden = !data.values.words;
    this.root.querySelector(".pages").hidden = data.pages < 2;
    say(this.root.querySelector(".page"), `${number(data.page)} of ${number(data.pages)}`);
    const [before, after] = data.values.sort && data.values.sort !== "newest" ? ["‹ Before", "Next ›"] : ["‹ Newer", "Older ›"];
    this.step(".before", before, data.page > 1);
    this.step(".after", after, data.page < data.pages);
    Object.assign(this.root.dataset, { total: data.total, page: data.page, heard: data.heard, state: data.state });
  }

  step(selector, words, can) {
    const button = this.root.querySelector(selector);
    say(button, words);
    button.disabled = !can;
  }

  choices(select, options) {
    const titles = JSON.stringify(options);
    if (select.dataset.titles === titles) return;
    select.dataset.titles = titles;
    select.replaceChildren(...options.map(([value, textContent]) => make("option", { value, textContent })));
  }

  offers(list, names) {
    const all = JSON.stringify(names);
    if (list.dataset.all === all) return;
    list.dataset.all = all;
    list.replaceChildren(...names.map((value) => make("option", { value })));
  }
}
