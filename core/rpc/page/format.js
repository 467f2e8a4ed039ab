// Numbers, times and elements. Nothing here knows the server.

const $ = (id) => document.getElementById(id);

/** An element with these attributes and children; `on…` are listeners, texts are text. */
function make(name, attributes = {}, ...children) {
  const svg = make.svg.has(name);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name)
                   : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}
make.svg = new Set(["g", "line", "path", "polyline", "polygon", "rect", "text", "circle", "title"]);

/** Sets a text only when it is another one: the page is left alone where nothing has changed. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function mark(node, name, on) {
  if (node.classList.contains(name) !== on) node.classList.toggle(name, on);
}

/** "0", "0.42", "12.3", "1,234", "56.7k", "3.4M" */
function count(value) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  if (value < 0.01) return "<0.01";
  if (value < 10) return String(Number(value.toFixed(value < 1 ? 2 : 1)));
  if (value < 10000) return Math.round(value).toLocaleString("en");
  const unit = value < 999500 ? [1e3, "k"] : value < 9995e5 ? [1e6, "M"] : [1e9, "G"];
  const scaled = value / unit[0];
  return (scaled < 99.95 ? scaled.toFixed(1) : Math.round(scaled)) + unit[1];
}

/** ["3.4", "ms"] of microseconds. */
function duration(us) {
  if (us === null || Number.isNaN(us)) return ["–", ""];
  if (us === Infinity) return [">4", "min"];
  const [scaled, unit] = us < 1 ? [us * 1000, "ns"] : us < 1000 ? [us, "µs"]
                       : us < 1e6 ? [us / 1000, "ms"] : [us / 1e6, "s"];
  return [scaled < 9.95 ? scaled.toFixed(1) : String(Math.round(scaled)), unit];
}
const time = (us) => duration(us).join(" ").trim();

/** "12.3 MB" of bytes; "–" of 0, which is what a server says that cannot read /proc. */
function size(bytes) {
  if (!bytes) return "–";
  const mega = bytes / 1048576;
  return mega < 1024 ? `${mega < 100 ? mega.toFixed(1) : Math.round(mega)} MB` : `${(mega / 1024).toFixed(1)} GB`;
}

/** "3 s", "12 min", "5 h", "9 d" of milliseconds. */
function age(ms) {
  const s = Math.floor(ms / 1000);
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}

const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");
const words = (kind) => kind.replaceAll("_", " ");
