// What stands above the picture: whether it is live, and the figures.

function statusOf(data, seated) {
  if (data.away && data.at !== null) return `What was at ${clock(data.at - data.skew)} is not to be had: ${data.away}.`;
  if (data.away) return `No connection for ${span(Date.now() - data.awaySince)}: ${data.away}. What you see is how it was; it goes on by itself.`;
  const part = data.earlier ? `figures of the last ${number(data.events)} events, ${number(data.earlier)} came before` : `figures of all ${number(data.events)} events`;
  const silent = data.agents.length - seated;
  const others = silent > 0 && seated ? ` · ${number(silent)} silent agents only in the table` : "";
  if (data.at !== null) return `As it was at ${clock(data.at - data.skew)}: flock ${data.flock} on ${data.server} · ${part}${others}`;
  return `Live: flock ${data.flock} on ${data.server} · ${part}${others}`;
}

// Name, figure, and what belongs to it.
function figuresOf({ figures, agents }) {
  const { model, saved, work, notes, reads } = figures;
  const saving = saved.tokens_estimated ? "about " : "";
  const computing = agents.filter((agent) => agent.tasks).length;
  return [
    ["Model calls made", number(model.calls), model.name || "no model yet"],
    ["Calls saved", number(saved.calls), `${number(work.found)} found, ${number(work.joined)} waited for`],
    ["Tokens spent", short(model.input_tokens + model.output_tokens), `${saving}${short(saved.tokens)} saved`],
    ["Cost", money(model.cost_usd), `${money(saved.cost_usd)} saved`],
    ["Notes written", number(notes), `${number(reads)} reads`],
    ["Agents", number(figures.agents), `${number(computing)} computing`],
  ];
}
