// Texts on the canvas, cut to the room they have.

const MOST_FITTED = 2000;

class Letters {
  constructor(paint) {
    this.paint = paint;
    this.fitted = new Map(); // to measure text takes a while
  }

  write(words, { x, y, wide, colour, halo, align, font }) {
    const { paint } = this;
    paint.font = font;
    paint.textAlign = align;
    const shown = this.fit(words.slice(0, 200), wide);
    paint.strokeStyle = halo; // what lies behind must not cross it
    paint.lineWidth = 3;
    paint.lineJoin = "round";
    paint.strokeText(shown, x, y);
    paint.fillStyle = colour;
    paint.fillText(shown, x, y);
  }

  // Cut at the end, or behind a tab at the beginning: titles differ in how they end.
  fit(words, wide) {
    const { paint } = this, name = `${paint.font}|${Math.round(wide)}|${words}`;
    let shown = this.fitted.get(name);
    if (shown !== undefined) return shown;
    const keepsEnd = words.includes("\t"), [verb, title] = keepsEnd ? words.split("\t", 2) : ["", words];
    const before = verb ? `${verb} ` : "";
    const cut = (count) => (keepsEnd ? `${before}…${title.slice(title.length - count).trimStart()}` : `${title.slice(0, count).trimEnd()}…`);
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
    if (this.fitted.size > MOST_FITTED) this.fitted.clear();
    this.fitted.set(name, shown);
    return shown;
  }
}
