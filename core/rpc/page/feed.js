// The stream of events, read with fetch and not with EventSource, which can send no token.

const token = {
  get: () => sessionStorage.getItem("token") ?? "",
  set: (text) => sessionStorage.setItem("token", text),
};

const authorization = () => (token.get() === "" ? {} : {Authorization: `Bearer ${token.get()}`});

const feed = {lastId: "", stop: null, tries: 0, interval: 60000, handlers: {}}; // interval: between two samples, in ms
const LEAST_SILENCE = 10000;

/** Hands each whole event of `text` on; gives what is left of it. */
function splitEvents(text) {
  for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
    let kind = "message";
    const data = [];
    for (const line of text.slice(0, end).split("\n")) {
      if (line.startsWith("event: ")) kind = line.slice(7);
      else if (line.startsWith("data: ")) data.push(line.slice(6));
      else if (line.startsWith("id: ")) feed.lastId = line.slice(4);
    }
    if (data.length > 0) feed.handlers[kind]?.(JSON.parse(data.join("\n")));
  }
  return text;
}

/** Reads one response to its end. Throws a sentence when it is none, or a failure of the network. Where
 * a machine or the network is gone a connection has no end: it is given up when no answer, or three
 * samples, have not come. */
async function readStream(signal) {
  const headers = {Accept: "text/event-stream", ...authorization()}, over = new AbortController();
  let timer;
  const expectWithin = (ms) => {
    clearTimeout(timer);
    timer = setTimeout(() => over.abort(), ms);
  };
  if (feed.lastId !== "") headers["Last-Event-ID"] = feed.lastId;
  signal.addEventListener("abort", () => over.abort(), {once: true});
  expectWithin(LEAST_SILENCE);
  try {
    const reply = await fetch("/status/events", {headers, signal: over.signal, cache: "no-store"});
    if (!reply.ok) {
      const said = await reply.json().catch(() => ({}));
      throw Object.assign(new Error(said.message ?? `the server says ${reply.status}`), {status: reply.status});
    }
    feed.handlers.state("live");
    feed.tries = 0;
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = "", part; ; text = splitEvents(text + part.value)) {
      expectWithin(Math.max(LEAST_SILENCE, 3 * feed.interval));
      if ((part = await reader.read()).done) return;
    }
  } finally {
    clearTimeout(timer);
  }
}

/** Reads, again and again, until it is stopped. */
async function follow() {
  const stopper = new AbortController();
  feed.stop?.abort();
  feed.stop = stopper;
  while (!stopper.signal.aborted) {
    let error = null;
    try {
      await readStream(stopper.signal);
    } catch (thrown) {
      error = thrown;
    }
    if (stopper.signal.aborted) return;
    feed.handlers.state(error?.status === 401 ? "locked" : "lost", error?.status ? error.message : "");
    if (error?.status === 401) return;
    const wait = Math.min(500 * 2 ** feed.tries++, 10000);
    await new Promise((done) => setTimeout(done, wait));
  }
}
