// The whole: what comes in goes into the model, and the page shows the model.

const page = {paused: false, methods: null, workers: null, listOf: "", due: false, told: undefined};

const STATES = {live: "live", lost: "connection lost, trying again", locked: "a token is needed", connecting: "connecting"};

function showState(state, why = "") {
  const shown = state === "live" && page.paused ? "paused" : state;
  $("state").dataset.state = shown === "locked" ? "lost" : shown;
  say($("state-text"), shown === "paused" ? "paused" : STATES[shown]);
  $("trouble").hidden = why === "";
  say($("trouble"), why === "" ? "" : `The server answers: ${why}`);
  if (state === "locked" && !$("token").open) $("token").showModal();
}

function announce(text) {
  const lines = $("announce");
  lines.append(make("p", {}, text));
  while (lines.childElementCount > 5) lines.firstChild.remove();
}

function eventRow(event) {
  const who = event.method ? `${event.method}: ` : "";
  return make("li", {class: event.level}, make("time", {datetime: new Date(event.at_ms).toISOString()}, clock(event.at_ms)),
    make("span", {class: "kind"}, words(event.kind)), make("span", {class: "words"}, event.text.includes(event.method ?? "") ? event.text : who + event.text));
}

function showEvents() {
  page.told = model.events.at(-1)?.id;
  $("events").replaceChildren(...model.events.slice(-50).reverse().map(eventRow));
  $("events-panel").hidden = model.events.length === 0;
  $("events").tabIndex = 0; // it scrolls
}

/** A line on the gates: connections, and handshakes since the sample before. */
function showTls(tls) {
  $("tls").hidden = !tls;
  if (!tls) return;
  const parts = [`TLS: ${count(tls.open)} connection${tls.open === 1 ? "" : "s"} by ${tls.gates} gate${tls.gates === 1 ? "" : "s"}`];
  if (model.tls) parts.push(`${count(model.tls.rate)} handshakes/s`, `${count(model.tls.failed)} failed/s`);
  say($("tls"), `${parts.join("; ")}; ${count(tls.handshaking)} under way.`);
  mark($("tls"), "alarm", (model.tls?.failed ?? 0) > 0);
}

/** A line on the registry: whether it answers, what is registered, and the servers of each service. */
function showRegistry(registry) {
  $("registry").hidden = !registry;
  if (!registry) return;
  const parts = [];
  if (registry.configured)
    parts.push(registry.connected ? "The registry answers" : `The registry has been away for ${age(registry.away_s * 1000)}: the servers known last are used`);
  if (registry.addresses > 0) parts.push(`${registry.registered} of ${registry.addresses} addresses registered`);
  for (const [name, servers, known] of registry.services) parts.push(`${name}: ${known ? count(servers) : "not known yet"}`);
  say($("registry"), `${parts.join("; ")}.`);
  mark($("registry"), "alarm", registry.configured && !registry.connected);
}

function showNow() {
  const last = model.last, point = model.points.at(-1);
  if (!last) return;
  say($("version"), model.version);
  say($("generation"), String(last.generation));
  say($("uptime"), age(last.uptime_ms));
  const serving = [...model.workers.values()].filter((w) => w.state === "serving").length;
  say($("now-connections"), count(last.connections));
  showTls(last.tls);
  showRegistry(last.registry);
  say($("now-workers"), String(serving));
  mark($("tile-workers"), "alarm", serving === 0);
  if (!point) return;
  say($("now-rate"), count(point.rate));
  say($("now-errors"), count(point.errors));
  say($("now-share"), point.rate > 0 && point.errors > 0 ? `/s, ${(point.errors / point.rate * 100).toFixed(1)} %` : "/s");
  mark($("tile-errors"), "alarm", point.errors > 0);
  for (const key of ["p50", "p99"]) {
    const [value, unit] = duration(point[key]);
    say($(`now-${key}`), value);
    say($(`now-${key}-unit`), unit);
  }
}

/** Shows the model, once for all that has come in before the next frame. */
function show() {
  if (page.due) return;
  page.due = true;
  requestAnimationFrame(() => {
    page.due = false;
    if (page.paused) return;
    showNow();
    if (page.told !== model.events.at(-1)?.id) showEvents();
    draw();
    page.workers.show([...model.workers.values()]);
    page.methods.show(shownMethods());
    showFacts();
  });
}

/** Names a configuration in use: each start of the server counts its generations from 1. */
const configurationOf = (it) => `${it.started_at_ms}/${it.generation}`;

/** The methods of the configuration, anew after each reload and each start. */
async function askMethods(configuration) {
  page.listOf = configuration;
  try {
    const reply = await fetch("/status/methods", {headers: authorization(), cache: "no-store"});
    if (!reply.ok) throw new Error(String(reply.status));
    const list = await reply.json();
    takeMethods(list);
    page.listOf = configurationOf(list);
    show();
  } catch {
    page.listOf = ""; // the next sample asks again
  }
}

function start() {
  page.workers = workerTable();
  page.methods = methodTable(openMethod);
  feed.handlers = {
    state: showState,
    sample: (sample) => {
      takeSample(sample);
      if (sample.interval_ms > 0) feed.interval = sample.interval_ms;
      if (page.listOf !== configurationOf(sample)) askMethods(configurationOf(sample));
      show();
    },
    event: (event) => {
      if (!takeEvent(event)) return;
      if (model.last) announce(`${words(event.kind)}: ${event.text}`);
      show();
    },
  };
  startChart();
  startMethod();
  $("filter").addEventListener("input", () => page.methods.arrange(true));
  $("more").addEventListener("click", () => {
    page.methods.options.most = Infinity;
    page.methods.arrange(true);
  });
  $("pause").addEventListener("click", () => {
    page.paused = !page.paused;
    $("pause").setAttribute("aria-pressed", String(page.paused));
    if ($("state").dataset.state !== "lost") showState("live");
    show();
  });
  $("token-open").addEventListener("click", () => { $("token-text").value = token.get(); $("token").showModal(); });
  $("token-form").addEventListener("submit", () => { token.set($("token-text").value.trim()); page.listOf = ""; follow(); });
  for (const button of document.querySelectorAll("[data-close]"))
    button.addEventListener("click", () => button.closest("dialog").close());
  follow();
}

start();
