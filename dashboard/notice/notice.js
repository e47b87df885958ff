// A sentence that stands out. It is text, whatever it is about.

export default function ({ data, parentElement }) {
  const root = data && parentElement.querySelector(".notice");
  if (!root) return;
  say(root, data.words);
  root.hidden = !data.words;
  root.classList.toggle("trouble", data.trouble);
}
