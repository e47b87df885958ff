// What is wrong and what to do about it, the worst first. It is text, whatever names are in it.

export default function ({ data, parentElement }) {
  const root = data && parentElement.querySelector(".alerts");
  if (!root) return;
  const told = JSON.stringify(data);
  if (root.dataset.told === told) return;
  root.dataset.told = told;
  root.dataset.alerts = data.alerts.length;
  const calm = root.querySelector(".calm");
  calm.textContent = data.calm;
  calm.hidden = data.alerts.length > 0;
  root.querySelector("ul").replaceChildren(...data.alerts.map(({ severity, words, act }) =>
    make("li", { className: severity }, make("div", {}, make("div", { textContent: words }), make("div", { className: "do", textContent: act })))));
}
