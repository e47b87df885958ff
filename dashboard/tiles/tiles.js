// Figures, kept up in place.

export default function ({ data, parentElement }) {
  const list = data && parentElement.querySelector(".tiles");
  if (!list) return;
  data.tiles.forEach((told, at) => {
    const tile = list.children[at] || list.appendChild(make("div", {}, make("dt"), make("dd", { className: "value" }), make("dd", { className: "more" })));
    told.forEach((words, part) => { say(tile.children[part], words); tile.children[part].title = words; });
  });
  while (list.children.length > data.tiles.length) list.lastElementChild.remove();
}
