// The chart: four strips over one time axis, with events as lines through all of them.

const STRIPS = [
  {name: "Requests", unit: "/s", part: 3, curves: [["rate", "rate"]], fill: true, text: count},
  {name: "Errors", unit: "/s", part: 2, curves: [["errors", "errors"]], fill: true, text: count},
  {name: "Latency", unit: "", part: 3, curves: [["p50", "p50"], ["p99", "p99"]], log: true, text: time},
  {name: "Connections", unit: "", part: 2, curves: [["connections", "connections"]], fill: true, text: count},
];
const GAP = 20, AXIS = 20, LEFT = 1;

const chart = {span: 300, width: 0, height: 0, cursor: null, held: false};

/** The points in the window, and where a time is. While there is less to show than the window has,
 * it is smaller: a minute at least. */
function view() {
  const end = model.last ? model.last.at_ms : Date.now(), first = model.points[0]?.at ?? end;
  const span = Math.min(chart.span * 1000, Math.max(60000, Math.ceil((end - first) / 30000) * 30000)), start = end - span;
  return {start, end, points: model.points.filter((p) => p.at >= start),
          x: (at) => LEFT + (at - start) / (end - start) * (chart.width - 2 * LEFT)};
}

/** A round number that is at least `value`: 1, 2 or 5 times a power of ten. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= value * 0.9999);
}

/** Where a value is in the strip: 0 its bottom, 1 its top. */
function scaleOf(strip, points) {
  const values = strip.curves.flatMap(([key]) => points.map((p) => p[key]))
    .filter((v) => v !== null && Number.isFinite(v) && (!strip.log || v > 0));
  if (!strip.log) {
    const top = roundUp(Math.max(1, ...values));
    return {top, bottom: 0, at: (v) => v / top};
  }
  const top = 10 ** Math.ceil(Math.log10(Math.max(10, ...values)));
  const low = values.length ? Math.min(...values) : 1;
  const bottom = Math.min(top / 100, 10 ** Math.floor(Math.log10(low)));
  const range = Math.log10(top / bottom);
  return {top, bottom, at: (v) => (v === Infinity ? 1 : Math.max(0, Math.log10(v / bottom) / range))};
}

/** Runs of points that have the value: a gap is left where there was no call, no sample, or no server.
 * Samples are missing where two are three times as far apart as others, whatever status_interval is. */
function runs(points, key) {
  const steps = points.slice(1).map((p, i) => p.at - points[i].at).sort((a, b) => a - b);
  const gap = Math.max(15000, 3 * (steps[steps.length >> 1] ?? 0)), all = [];
  let run = null, before = null;
  for (const p of points) {
    if (p.fresh || (before && p.at - before.at > gap)) run = null;
    if (p[key] === null) run = null;
    else if (run) run.push(p);
    else all.push(run = [p]);
    before = p;
  }
  return all;
}

function drawCurve(group, [key, name], points, x, y, base, fill) {
  for (const run of runs(points, key)) {
    const dots = run.map((p) => `${x(p.at).toFixed(1)},${y(p[key]).toFixed(1)}`);
    if (run.length === 1) {
      group.append(make("line", {class: `curve ${name} dot`, x1: x(run[0].at), x2: x(run[0].at), y1: y(run[0][key]), y2: y(run[0][key])}));
      continue;
    }
    if (fill)
      group.append(make("polygon", {class: `fill ${name}`, points: `${x(run[0].at).toFixed(1)},${base} ${dots.join(" ")} ${x(run.at(-1).at).toFixed(1)},${base}`}));
    group.append(make("polyline", {class: `curve ${name}`, points: dots.join(" ")}));
  }
}

function drawStrip(group, labels, strip, now, top, height) {
  const scale = scaleOf(strip, now.points), base = top + height;
  const y = (v) => base - Math.min(1, scale.at(v)) * height;
  group.append(make("rect", {class: "ground", x: .5, y: top + .5, width: chart.width - 1, height}));
  if (strip.log)
    for (let v = scale.bottom * 10; v < scale.top; v *= 10)
      group.append(make("line", {class: "grid", x1: 0, x2: chart.width, y1: y(v), y2: y(v)}));
  labels.append(make("text", {class: "name", x: 0, y: top - 6}, strip.name));
  const most = strip.text(scale.top) + strip.unit;
  labels.append(make("text", {x: chart.width, y: top - 6, "text-anchor": "end"}, strip.log ? `${strip.text(scale.bottom)} to ${most}` : `0 to ${most}`));
  if (strip.log) labels.append(make("text", {x: strip.name.length * 7.2 + 8, y: top - 6}, chart.width < 320 ? "p99 dashed" : "p50 solid, p99 dashed"));
  for (const curve of strip.curves) drawCurve(group, curve, now.points, now.x, y, base, strip.fill);
}

/** The hours and minutes below the strips. */
function drawAxis(group, now, y) {
  const span = (now.end - now.start) / 1000, room = chart.width / (span < 120 ? 90 : 64);
  const step = [10, 15, 30, 60, 120, 300, 600].find((s) => (s >= 60 || span < 120) && span / s < room) ?? 900;
  for (let at = Math.ceil(now.start / step / 1000) * step * 1000; at <= now.end; at += step * 1000) {
    const x = now.x(at);
    if (x < 26 || x > chart.width - 26) continue;
    const text = clock(at);
    group.append(make("line", {class: "grid", x1: x, x2: x, y1: GAP, y2: y}),
                 make("text", {x, y: y + 15, "text-anchor": "middle"}, step < 60 ? text : text.slice(0, 5)));
  }
}

function drawEvents(group, now, bottom) {
  for (const event of model.events) {
    if (event.at_ms < now.start || event.at_ms > now.end) continue;
    const x = now.x(event.at_ms).toFixed(1), level = event.level;
    const sign = level === "error" ? `M${x - 4},2h8v8h-8z` : level === "warn" ? `M${x},1l5,9h-10z` : `M${x - 4},6a4,4 0 1,0 8,0a4,4 0 1,0 -8,0z`;
    group.append(make("g", {class: "mark"}, make("title", {}, `${clock(event.at_ms)} ${words(event.kind)}: ${event.text}`),
      make("line", {class: `event ${level}`, x1: x, x2: x, y1: 8, y2: bottom}),
      make("path", {class: `flag ${level}`, d: sign})));
  }
}

/** "at 12:00:01: 12 requests/s, …" */
function pointWords(p) {
  return `${clock(p.at)}: ${count(p.rate)} requests/s, ${count(p.errors)} errors/s, p50 ${time(p.p50)}, ` +
    `p99 ${time(p.p99)}, ${count(p.connections)} connections`;
}

/** What the chart shows, in words, for people who do not see it. */
function chartWords(now) {
  if (now.points.length === 0) return "There are no samples yet.";
  const about = (name, key, text) => {
    const values = now.points.map((p) => p[key]).filter((v) => v !== null), latest = now.points.at(-1)[key];
    if (values.length === 0) return `${name}: none.`;
    return `${name}: ${latest === null ? "none" : text(latest)} now, between ${text(Math.min(...values))} and ${text(Math.max(...values))}.`;
  };
  const events = model.events.filter((e) => e.at_ms >= now.start);
  return `The last ${Math.round((now.end - now.points[0].at) / 1000)} seconds. ` +
    [about("Requests a second", "rate", count), about("Errors a second", "errors", count), about("Median latency", "p50", time),
     about("p99 latency", "p99", time), about("Connections", "connections", count)].join(" ") +
    ` Events: ${events.length === 0 ? "none" : events.map((e) => `${words(e.kind)} at ${clock(e.at_ms)}`).join(", ")}.`;
}

function drawCursor(now) {
  const range = $("cursor"), points = now.points;
  range.disabled = points.length === 0;
  range.max = String(Math.max(0, points.length - 1));
  let at = chart.cursor === null ? points.length - 1 : points.findIndex((p) => p.at >= chart.cursor);
  if (at < 0) at = points.length - 1;
  range.value = String(at);
  const point = points[at];
  say($("reading"), point ? pointWords(point) : "");
  range.setAttribute("aria-valuetext", point ? pointWords(point) : "no samples");
  return point && chart.cursor !== null ? now.x(point.at) : null;
}

function draw() {
  const plot = $("plot"), box = plot.getBoundingClientRect();
  if (box.width === 0) return;
  chart.width = Math.round(box.width);
  chart.height = Math.round(box.height);
  plot.setAttribute("viewBox", `0 0 ${chart.width} ${chart.height}`);
  const now = view(), group = make("g"), labels = make("g"); // labels above events, so that both are seen
  const bottom = chart.height - AXIS, parts = STRIPS.reduce((all, s) => all + s.part, 0);
  const room = bottom - (GAP + 8) * STRIPS.length;
  drawAxis(group, now, bottom);
  let top = 8;
  for (const strip of STRIPS) {
    const height = room * strip.part / parts;
    top += GAP;
    drawStrip(group, labels, strip, now, top, height);
    top += height + 8;
  }
  drawEvents(group, now, bottom);
  const x = drawCursor(now);
  if (x !== null) group.append(make("line", {class: "cursor", x1: x, x2: x, y1: 8, y2: bottom}));
  plot.replaceChildren(group, labels);
  say($("chart-text"), chartWords(now));
  if ($("figures").open) drawFigures(now.points.slice(-30).reverse());
}

function drawFigures(points) {
  $("figures-body").replaceChildren(...points.map((p) => make("tr", {},
    make("th", {scope: "row"}, clock(p.at)),
    ...[count(p.rate), count(p.errors), time(p.p50), time(p.p99), count(p.connections)].map((text) => make("td", {class: "n"}, text)))));
}

/** Reads at a place of the chart, or the latest again. */
function pointAt(clientX) {
  const box = $("plot").getBoundingClientRect(), now = view();
  const at = now.start + (clientX - box.left) / box.width * (now.end - now.start);
  chart.cursor = now.points.reduce((best, p) => (best === null || Math.abs(p.at - at) < Math.abs(best - at) ? p.at : best), null);
  draw();
}

function startChart() {
  $("plot").addEventListener("pointermove", (event) => pointAt(event.clientX));
  $("plot").addEventListener("pointerleave", () => { chart.cursor = null; draw(); });
  $("cursor").addEventListener("input", () => {
    const points = view().points, at = Number($("cursor").value);
    chart.cursor = at >= points.length - 1 ? null : points[at].at;
    draw();
  });
  $("window").addEventListener("change", () => { chart.span = Number($("window").value); draw(); });
  $("figures").addEventListener("toggle", draw);
  new ResizeObserver(draw).observe($("chart"));
}
