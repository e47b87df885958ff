// What both components say alike: sentences, spans of time, figures. All of it becomes text, never markup.

function sentence({ what, who, of, about: title, note }) {
  const about = ends(title, 66);
  const agent = who ? who.split("\n")[0] : "The flock", author = of ? of.split("\n")[0] : null;
  const whose = author ? (of === who ? "its own " : author === agent ? `another ${author}’s ` : `${author}’s `) : "";
  switch (what) {
    case "wrote": return `${agent} wrote ${about} (${(note || "").slice(0, 8)})`;
    case "claimed": return `${agent} computes ${about}`;
    case "failed": return `${agent} failed: ${about}`;
    case "found": return `${agent} found ${whose}${about}`;
    case "joined": return `${agent} waited for ${whose}${about}`;
    case "read": return `${agent} read ${whose}${about}`;
    case "missed": return `${agent} missed ${about}`;
    case "retried": return `${agent} tries ${about} again`;
    case "parked": return `${agent} gave up ${about}`;
    case "gone": return `${about} is gone`;
    default: return `${agent}: ${about}`;
  }
}

// What an agent does, in up to `most` lines. What stands before a tab is kept whole where there is little room.
function doing(agent, now, most) {
  if (agent.tasks) {
    const lines = agent.doing.map((task) => `\t${task.title}`);
    if (most === 1) return [`computes\t${agent.doing[0].title}`];
    return [`computes ${agent.tasks > 1 ? `${agent.tasks}, ` : ""}for ${span(now - agent.since)}`, ...lines].slice(0, most);
  }
  const { notes, found, joined } = agent.counts;
  return [act(agent, "\t"), `${span(now - agent.last)} ago`, `${number(notes)} notes, ${number(found + joined)} reused`].slice(0, most);
}

function act({ did, about }, between = " ") { return did === "acted" ? about : `${did}${between}${about}`; }

function compare(a, b) { return a < b ? -1 : a > b ? 1 : 0; }

// A long title by both of its ends, since titles of one kind begin alike.
function ends(title, most = 72) { return title.length <= most ? title : `${title.slice(0, most / 3)} … ${title.slice(-most * 2 / 3)}`; }

function make(tag, given = {}, ...children) {
  const element = Object.assign(document.createElement(tag), given);
  element.append(...children);
  return element;
}

function say(element, words) { if (element.textContent !== words) element.textContent = words; }

function mix(a, b, c, share) { return (1 - share) * (1 - share) * a + 2 * (1 - share) * share * b + share * share * c; }

function number(count) { return count.toLocaleString("en"); }

function short(count) { return count < 100000 ? number(count) : Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(count); }

function money(text) {
  if (text === null) return "not known";
  const dollars = Number(text);
  return dollars && dollars < 0.01 ? `$${dollars.toPrecision(2)}` : `$${dollars.toFixed(dollars ? 2 : 0)}`;
}

function clock(ms) { return new Date(ms).toLocaleTimeString("en-GB"); }

function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return seconds < 90 ? `${seconds} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : seconds < 129600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}
