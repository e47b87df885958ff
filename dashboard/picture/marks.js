// The marks of the picture. They differ in shape, not in colour alone.

const INKS = {
  dark: { top: "#0b1222", foot: "#1d2740", wood: "#8a7560", halo: "rgba(17,25,44,0.85)", text: "#eef2f8", soft: "#aeb9cc", light: "#ffcf70", glow: "255,200,95", thread: "140,195,255", bad: "#ff8a7d", body: 68, edge: "#0b1222", shine: 0.2 },
  light: { top: "#e3edf8", foot: "#fdf7ec", wood: "#7d6650", halo: "rgba(246,246,244,0.85)", text: "#1c2330", soft: "#55617a", light: "#dd8a00", glow: "235,150,20", thread: "35,95,170", bad: "#c2352b", body: 40, edge: "#ffffff", shine: 0.16 },
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
