// A note. Whatever it holds becomes text, never markup: nothing of it runs, and nothing is loaded for it.

const cards = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const root = data && parentElement.querySelector(".card");
  if (!root) return;
  let card = cards.get(root);
  if (!card) cards.set(root, (card = new Card(root)));
  card.tell = (act) => setTriggerValue("acted", act);
  card.take(data);
}

class Card {
  constructor(root) {
    this.root = root;
    this.number = 0;
    for (const act of ["back", "more", "save"]) this.find(`.${act}`).addEventListener("click", () => this.act({ act }));
    this.find("dl").addEventListener("click", ({ target }) => {
      if (target.dataset.act) this.act({ act: target.dataset.act, name: target.dataset.name, value: target.dataset.value });
    });
  }

  find(selector) { return this.root.querySelector(selector); }

  act(what) { this.tell({ n: (this.number += 1), ...what }); }

  take({ note, title, fate, facts, content, said, more, canSave, saved }) {
    say(this.find("h2"), title);
    say(this.find(".fate"), fate);
    this.find(".fate").hidden = !fate;
    const told = JSON.stringify(facts);
    if (this.told !== told) {
      this.told = told;
      this.find("dl").replaceChildren(...facts.map(({ name, parts }) =>
        make("div", {}, make("dt", { textContent: name }), make("dd", {}, ...parts.map((part) => this.part(part))))));
    }
    this.find(".content").hidden = content === null;
    say(this.find("pre"), content ?? "");
    if (this.root.dataset.note !== note) this.find("pre").scrollTop = 0;
    say(this.find(".said"), said);
    say(this.find(".more"), more);
    this.find(".more").hidden = !more;
    this.find(".save").hidden = !canSave;
    if (saved && this.handed !== saved.number) { this.handed = saved.number; this.hand(saved); }
    Object.assign(this.root.dataset, { note, shown: content === null ? "" : content.length });
  }

  part({ text, url, act, name, value }) {
    if (act) {
      const button = make("button", { type: "button", textContent: text });
      Object.assign(button.dataset, { act, name, value });
      return button;
    }
    return /^https?:/.test(url || "") ? make("a", { href: url, target: "_blank", rel: "noopener", textContent: text }) : make("span", { textContent: text });
  }

  // The bytes as they are, under a name of ours, as a file that nothing here opens.
  hand({ name, bytes }) {
    const raw = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
    const url = URL.createObjectURL(new Blob([raw], { type: "application/octet-stream" }));
    const link = make("a", { href: url, download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }
}
