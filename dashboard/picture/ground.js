// What agents sit on: the sky and the boughs, and the branches that are their inboxes.

class Ground extends Flights {
  // What never moves is drawn once.
  scenery() {
    const { ink, size, form } = this, perches = new Map([...this.places].map(([id, place]) => [place.perch, id.split("\n")[1]]));
    const name = [size.width, size.height, this.dark, ...[...perches].flat()].join("|");
    if (this.scene && this.scene.name === name) return this.scene.canvas;
    const canvas = document.createElement("canvas"), ratio = window.devicePixelRatio || 1;
    canvas.width = size.width * ratio;
    canvas.height = size.height * ratio;
    const paint = canvas.getContext("2d");
    paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    drawSky(paint, ink, size, this.dark);
    for (const [perch, run] of perches) {
      drawBough(paint, ink, size.width, perch);
      if (!this.runs) continue;
      paint.font = `400 11.5px ${this.font}`;
      paint.fillStyle = ink.soft;
      paint.fillText(run ? `run ${run.slice(0, 8)}` : "outside of runs", 10, perch + 26 + form.lines * 15 - form.high + 16);
    }
    this.scene = { name, canvas };
    return canvas;
  }

  // An inbox: a leaf for each delivery that waits, a full one for each that is in hand; how many, where they are many.
  branch(id, place) {
    const inbox = this.inboxes.get(id);
    if (!inbox || !inbox.length) return;
    const { form, ink } = this, room = Math.max(0, form.wide / 2 - form.bird * 1.9 - 6), step = 7;
    const most = Math.max(2, Math.floor(room / step) * 2), shown = Math.min(inbox.length, most);
    for (let at = 0; at < shown; at++) {
      const side = at % 2 ? 1 : -1, away = form.bird * 1.9 + Math.floor(at / 2) * step;
      drawLeaf(this.paint, ink, { x: place.x + side * away, y: place.perch, side, full: at < inbox.pending });
    }
    if (inbox.length > shown) this.text(`+${short(inbox.length - shown)}`, place.x + form.wide / 2 - 4, place.perch - 8, 11, ink.soft, 44, 500, "right");
  }
}
