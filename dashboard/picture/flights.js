// Flights: an agent flies to the note it reads and brings it home; who waited gathers around it. Each is an event.

const OUT = 0.36, BACK = 0.62;  // by these parts of its time a bird has come to the note, and leaves it

class Flights {
  // Where a thread runs: in a bow from the reader to the note.
  way(thread) {
    const from = { x: thread.reader.x, y: thread.reader.perch - this.form.bird };
    const steep = Math.abs(from.x - thread.to.x) < 60 ? 55 : 0;
    const bend = { x: (from.x + thread.to.x) / 2 + (from.x < this.size.width / 2 ? steep : -steep), y: Math.max(4, Math.min(from.y, thread.to.y) - 26 - Math.abs(from.x - thread.to.x) * 0.16) };
    return (share) => ({ x: mix(from.x, bend.x, thread.to.x, share), y: mix(from.y, bend.y, thread.to.y, share) });
  }

  thread(thread, time) {
    const { paint, ink } = this, calm = this.calm.matches, at = this.way(thread);
    const part = (time - thread.from) / THREAD_MS, grown = calm ? 1 : ease(Math.min(1, part / OUT));
    const fade = calm ? 1 : Math.min(1, (1 - part) / 0.3), read = thread.how === "read";
    thread.flies = !calm && part < 0.98;
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
  }

  // The bird of a thread: there, at the note, and back with it. Where less motion is wanted it sits beside the note.
  fly(thread, time) {
    const { paint, ink, form } = this, tint = this.hues.get(thread.name), size = Math.max(5, form.bird * 0.64);
    const part = (time - thread.from) / THREAD_MS, at = this.way(thread), calm = this.calm.matches;
    if (calm || (part >= OUT && part < BACK)) {
      const seat = this.seatAt(thread);
      drawBird(paint, ink, { x: seat.x, perch: seat.y, size, tint, quiet: false, turned: seat.x > thread.to.x });
      if (thread.count > 1) this.text(`×${thread.count}`, seat.x, seat.y - size * 2.2, 10.5, ink.text, 40);
      return;
    }
    const home = part >= BACK, share = home ? Math.max(0, 1 - (part - BACK) / (0.98 - BACK)) : part / OUT;
    const point = at(ease(share)), next = at(ease(Math.min(1, Math.max(0, share + (home ? -0.02 : 0.02)))));
    paint.globalAlpha = Math.min(1, (1 - part) / 0.06);
    drawFlyer(paint, ink, { ...point, size, tint, beat: time / 70 + thread.beat, turned: next.x < point.x });
    if (home) drawGlow(paint, ink, { x: point.x, y: point.y + size * 1.3 }, Math.max(2.2, size * 0.4));
    paint.globalAlpha = 1;
  }

  // Who waited for it gathers around it, side by side; who found or read it sits just above.
  seatAt(thread) {
    const { to, how, beside } = thread, far = this.form.pitch * 0.9 + 8;
    if (how !== "joined") return { x: to.x + far * 0.7, y: to.y - 2 };
    const ring = Math.floor(beside / 6), turn = (beside % 6) * (Math.PI / 3) + ring * 0.5;
    return { x: to.x + Math.cos(turn) * far * (1 + ring * 0.8), y: to.y + 6 + Math.sin(turn) * far * 0.75 * (1 + ring * 0.8) };
  }
}

function ease(share) { return share * share * (3 - 2 * share); }
