// The marks of the picture. They differ in shape, not in colour alone.

const INKS = {
  dark: { top: "#0b1222", foot: "#1d2740", wood: "#8a7560", halo: "rgba(17,25,44,0.85)", text: "#eef2f8", soft: "#aeb9cc", light: "#ffcf70", glow: "255,200,95", thread: "140,195,255", bad: "#ff8a7d", leaf: "#86c98e", body: 68, edge: "#0b1222", shine: 0.2 },
  light: { top: "#e3edf8", foot: "#fdf7ec", wood: "#7d6650", halo: "rgba(246,246,244,0.85)", text: "#1c2330", soft: "#55617a", light: "#dd8a00", glow: "235,150,20", thread: "35,95,170", bad: "#c2352b", leaf: "#3f7d47", body: 40, edge: "#ffffff", shine: 0.16 },
};

function drawRing(paint, { x, y }, radius) {
  paint.beginPath();
  paint.arc(x, y, radius, 0, 7);
  paint.stroke();
}

function drawCross(paint, ink, { x, y }, radius) {
  paint.strokeStyle = ink.bad;
  paint.lineWidth = 2;
  paint.beginPath();
  paint.moveTo(x - radius, y - radius);
  paint.lineTo(x + radius, y + radius);
  paint.moveTo(x + radius, y - radius);
  paint.lineTo(x - radius, y + radius);
  paint.stroke();
}

function drawGlow(paint, ink, { x, y }, radius) {
  paint.fillStyle = `rgba(${ink.glow},0.35)`;
  paint.beginPath();
  paint.arc(x, y, radius * 2, 0, 7);
  paint.fill();
  paint.fillStyle = ink.light;
  paint.beginPath();
  paint.arc(x, y, radius, 0, 7);
  paint.fill();
}

// A quiet sky: stars and a moon by night, hills below. The same in each picture, whatever its size.
function drawSky(paint, ink, { width, height }, dark) {
  const sky = paint.createLinearGradient(0, 0, 0, height);
  sky.addColorStop(0, ink.top);
  sky.addColorStop(1, ink.foot);
  paint.fillStyle = sky;
  paint.fillRect(0, 0, width, height);
  const round = paint.createRadialGradient(width * 0.86, 46, 4, width * 0.86, 46, 120);
  round.addColorStop(0, dark ? "rgba(255,244,214,0.16)" : "rgba(255,226,150,0.55)");
  round.addColorStop(1, "rgba(255,240,200,0)");
  paint.fillStyle = round;
  paint.fillRect(0, 0, width, 190);
  paint.fillStyle = dark ? "rgba(255,246,224,0.5)" : "rgba(255,236,180,0.8)";
  paint.beginPath();
  paint.arc(width * 0.86, 46, 13, 0, 7);
  paint.fill();
  for (let star = 0; dark && star < Math.min(90, width / 14); star++) {
    const x = (star * 7919 * 0.618034) % width, y = ((star * 104729 * 0.381966) % (height * 0.8));
    paint.fillStyle = `rgba(220,230,255,${0.12 + (star % 5) * 0.05})`;
    paint.fillRect(x, y, star % 7 ? 1 : 1.6, star % 7 ? 1 : 1.6);
  }
  for (const [far, rise, tone] of [[0.0, 46, 0.05], [0.5, 28, 0.07]]) {
    paint.fillStyle = dark ? `rgba(0,0,0,${tone * 3})` : `rgba(60,90,70,${tone})`;
    paint.beginPath();
    paint.moveTo(0, height);
    for (let x = 0; x <= width; x += 24) paint.lineTo(x, height - rise - Math.sin(x / 190 + far * 9) * 16 - Math.sin(x / 61 + far * 4) * 5);
    paint.lineTo(width, height);
    paint.fill();
  }
}

// The bough that agents sit on.
function drawBough(paint, ink, width, y) {
  paint.strokeStyle = ink.wood;
  paint.lineCap = "round";
  for (const [thick, lift] of [[3, 0], [1.2, -1.2]]) {
    paint.lineWidth = thick;
    paint.globalAlpha = lift ? 0.5 : 1;
    paint.beginPath();
    paint.moveTo(0, y + lift);
    for (let x = 0; x <= width + 20; x += 20) paint.lineTo(x, y + lift + Math.sin(x / 53 + y) * 0.8);
    paint.stroke();
  }
  paint.globalAlpha = 1;
}

// A leaf of a branch: a delivery in an inbox; full when it is in hand.
function drawLeaf(paint, ink, { x, y, side, full }) {
  paint.strokeStyle = paint.fillStyle = ink.leaf;
  paint.lineWidth = 1.1;
  paint.beginPath();
  paint.moveTo(x, y - 1);
  paint.quadraticCurveTo(x - side * 1.5, y - 6, x + side * 3, y - 9);
  paint.quadraticCurveTo(x + side * 5, y - 4, x, y - 1);
  if (full) paint.fill();
  paint.stroke();
}

// A bird on its way; its wings beat.
function drawFlyer(paint, ink, { x, y, size, tint, beat, turned }) {
  const lift = Math.sin(beat), colour = `hsl(${tint} 52% ${ink.body}%)`;
  paint.save();
  paint.translate(x, y);
  if (turned) paint.scale(-1, 1);
  paint.fillStyle = colour;
  paint.strokeStyle = ink.edge;
  paint.lineWidth = 0.8;
  paint.beginPath();
  paint.moveTo(-size * 1.7, -size * 0.1);                                        // tail
  paint.quadraticCurveTo(0, -size * 0.7, size * 1.2, -size * 0.25);              // back and head
  paint.lineTo(size * 1.65, 0);                                                  // beak
  paint.quadraticCurveTo(size * 0.3, size * 0.75, -size * 1.7, -size * 0.1);     // breast
  paint.fill();
  paint.stroke();
  paint.beginPath();
  paint.moveTo(size * 0.45, -size * 0.25);
  paint.quadraticCurveTo(-size * 0.1, -size * (0.5 + 1.5 * lift), -size * 0.9, -size * (0.2 + 1.7 * lift)); // wing
  paint.quadraticCurveTo(-size * 0.7, -size * 0.1, -size * 0.35, 0);
  paint.closePath();
  paint.fill();
  paint.stroke();
  paint.restore();
}

// A bird on its perch; quiet ones are drawn as outlines.
function drawBird(paint, ink, { x, perch, size, tint, quiet, turned }) {
  const colour = `hsl(${tint} ${quiet ? 18 : 52}% ${ink.body}%)`;
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
