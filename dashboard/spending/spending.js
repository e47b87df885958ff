// What was made, and on top of it what was saved, over the time of a run: one small chart for each unit.

const NAMES = { calls: "Model calls", tokens: "Tokens", seconds: "Seconds of computing" };
const HIGH = 120, WIDE = 400;
const SHAPES = "http://www.w3.org/2000/svg";

export default function ({ data, parentElement }) {
  const root = data && parentElement.querySelector(".spending");
  if (!root) return;
  const told = JSON.stringify(data);
  if (root.dataset.told === told) return;
  root.dataset.told = told;
  root.querySelector(".charts").replaceChildren(...Object.entries(data.units).filter(([, points]) => points.length).map(([unit, points]) => chart(unit, points, data.wall)));
}

function shape(tag, given, ...children) {
  const element = document.createElementNS(SHAPES, tag);
  for (const [name, value] of Object.entries(given)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function chart(unit, points, wall) {
  const [, made, saved] = points[points.length - 1], most = Math.max(made + saved, 1e-9), whole = Math.max(wall, 0.001);
  const x = (at) => ((at / whole) * WIDE).toFixed(1), y = (amount) => (HIGH - (amount / most) * (HIGH - 4)).toFixed(1);
  const steps = (value) => points.map((point, at) => `${at ? "" : `0,${y(value([0, 0, 0]))} `}${x(at ? points[at - 1][0] : 0)},${y(value(point))} ${x(point[0])},${y(value(point))}`).join(" ");
  const area = (value, below) => `${steps(value)} ${points.map((point, at) => [point, at]).reverse().map(([point, at]) => `${x(point[0])},${y(below(point))} ${x(at ? points[at - 1][0] : 0)},${y(below(point))}`).join(" ")}`;
  const id = `hatch-${unit}`;
  const hatch = shape("defs", {}, shape("pattern", { id, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, shape("line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 5 })));
  const shown = (amount) => (unit === "seconds" ? `${amount.toFixed(amount < 10 ? 1 : 0)}` : short(amount));
  const words = `${NAMES[unit]}: ${shown(made)} made, ${shown(saved)} saved`;
  const top = shape("polygon", { points: area(([, m, s]) => m + s, ([, m]) => m), class: "saved" });
  top.style.fill = `url(#${id})`;
  const svg = shape("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img", "aria-label": words },
    hatch, shape("polygon", { points: area(([, m]) => m, () => 0), class: "made" }), top);
  const mark = (name, text) => make("span", {}, make("i", { className: `mark-${name}` }), text);
  return make("figure", {}, make("figcaption", {}, make("b", { textContent: NAMES[unit] }), mark("made", `${shown(made)} made`), mark("saved", `${shown(saved)} saved`)), svg);
}
