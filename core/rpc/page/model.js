// From samples to rates. A sample has counts since the server's start, and those methods alone that
// have changed, so what an interval had is the difference between two samples, however far apart.

const KEPT_MS = 900000;

const model = {
  names: [], codes: [], bounds: [], version: "",
  methods: new Map(),  // by name: see newMethod
  workers: new Map(),  // by pid: see newWorker
  last: null,          // the sample before
  fresh: true,         // whether the next point is the first of a server that was started
  points: [],          // of the chart: {at, fresh, rate, errors, p50, p99, connections}
  events: [],          // oldest first
  tls: null,           // handshakes a second: {rate, failed}, while there are gates
  known: new Map(),    // by name, of /status/methods
  calls: false,
};

const newMethod = (name) => ({
  name, parts: new Map(), calls: 0, inFlight: 0, out: false, buckets: new Map(), codes: new Map(),
  rate: 0, errors: 0, top: [], p50: null, p99: null, listed: true,
});

/** The upper end of the bucket that has this part of all calls; null when there were none. */
function percentile(buckets, part) {
  let total = 0, seen = 0;
  for (const n of buckets.values()) total += n;
  if (total === 0) return null;
  for (const b of [...buckets.keys()].sort((x, y) => x - y)) {
    seen += buckets.get(b);
    if (seen >= total * part) return model.bounds[b] ?? Infinity;
  }
  return null;
}

/** {key: count} of a flat list [key, count, …]. */
function pairs(list) {
  const map = new Map();
  for (let i = 0; i < list.length; i += 2) map.set(list[i], list[i + 1]);
  return map;
}

/** What `now` has more than `before`. A count that is less than it was began anew. */
function growth(now, before) {
  const more = new Map();
  for (const [key, n] of now) {
    const was = before.get(key) ?? 0;
    if (n !== was) more.set(key, n > was ? n - was : n);
  }
  return more;
}

const sum = (map) => { let all = 0; for (const n of map.values()) all += n; return all; };

/** Adds the counts of `more` to those of `map`. */
function add(map, more) {
  for (const [key, n] of more) map.set(key, (map.get(key) ?? 0) + n);
  return map;
}

/** Takes a row of a sample; gives what the interval had. Servers may count methods of one name apart:
 * such a method has several rows, each with an index of its own. */
function takeRow([index, calls, inFlight, out, , errors, latency]) {
  const name = model.names[index];
  if (name === undefined) return null;
  let method = model.methods.get(name);
  if (!method) model.methods.set(name, method = newMethod(name));
  const was = method.parts.get(index) ?? {calls: 0, buckets: new Map(), codes: new Map()};
  const now = {calls, inFlight, out: out === 1, buckets: pairs(latency), codes: pairs(errors)};
  method.parts.set(index, now);
  return {method, more: calls >= was.calls ? calls - was.calls : calls,
          gained: growth(now.buckets, was.buckets), failed: growth(now.codes, was.codes)};
}

/** What the method's rows had in the interval becomes its figures. */
function settle(method, got, seconds) {
  const parts = [...method.parts.values()];
  method.calls = parts.reduce((n, part) => n + part.calls, 0);
  method.inFlight = parts.reduce((n, part) => n + part.inFlight, 0);
  method.out = parts.some((part) => part.out);
  method.buckets = parts.reduce((all, part) => add(all, part.buckets), new Map());
  method.codes = parts.reduce((all, part) => add(all, part.codes), new Map());
  if (seconds <= 0) return;
  method.rate = got.more / seconds;
  method.errors = sum(got.failed) / seconds;
  method.top = [...got.failed].sort((a, b) => b[1] - a[1]).slice(0, 2).map(([code]) => model.codes[code] ?? "?");
  method.p50 = percentile(got.gained, 0.5);
  method.p99 = percentile(got.gained, 0.99);
}

/** Takes the rows of a sample; gives what the interval had in all. */
function takeRows(rows, seconds) {
  const nothing = () => ({more: 0, gained: new Map(), failed: new Map()}), all = nothing(), each = new Map();
  for (const row of rows) {
    const got = takeRow(row);
    if (!got) continue;
    if (!each.has(got.method)) each.set(got.method, nothing());
    for (const into of [all, each.get(got.method)]) {
      into.more += got.more;
      add(into.gained, got.gained);
      add(into.failed, got.failed);
    }
  }
  for (const [method, got] of each) settle(method, got, seconds);
  return all;
}

function takeWorkers(list, seconds) {
  const before = model.workers;
  model.workers = new Map();
  for (const worker of list) {
    const was = before.get(worker.pid);
    worker.rate = was && seconds > 0 ? (worker.messages - was.messages) / seconds : 0;
    worker.cpu = was && seconds > 0 ? (worker.cpu_ms - was.cpu_ms) / seconds / 10 : 0;
    model.workers.set(worker.pid, worker);
  }
}

/** The handshakes of an interval. Counts may begin anew, as those of methods do. */
function takeTls(now, was, seconds) {
  const more = (key) => (now[key] >= was[key] ? now[key] - was[key] : now[key]) / seconds;
  model.tls = now && was && seconds > 0 ? {rate: more("handshakes"), failed: more("failed")} : null;
}

/** Whether `b` is a later sample of the same start of the server. */
function isSameServer(a, b) {
  return b.started_at_ms === a.started_at_ms && b.uptime_ms > a.uptime_ms;
}

/** Takes a sample. The first one, and that of a server that was started anew, only begins. */
function takeSample(sample) {
  const last = model.last;
  const goesOn = last !== null && isSameServer(last, sample);
  const seconds = goesOn ? (sample.uptime_ms - last.uptime_ms) / 1000 : 0;
  if (sample.whole)
    Object.assign(model, {names: sample.names, codes: sample.errors, bounds: sample.bounds_us, version: sample.version});
  if (!goesOn) model.methods.clear();
  for (const method of model.methods.values())
    Object.assign(method, {rate: 0, errors: 0, top: [], p50: null, p99: null});
  const all = takeRows(sample.methods, seconds);
  takeWorkers(sample.workers, seconds);
  takeTls(sample.tls, last?.tls, seconds);
  model.last = sample;
  if (!goesOn) {
    model.fresh = true;
    return;
  }
  model.points.push({
    at: sample.at_ms, fresh: model.fresh, rate: all.more / seconds, errors: sum(all.failed) / seconds,
    p50: percentile(all.gained, 0.5), p99: percentile(all.gained, 0.99),
    connections: sample.connections,
  });
  model.fresh = false;
  while (model.points.length > 0 && model.points[0].at < sample.at_ms - KEPT_MS) model.points.shift();
}

/** Takes an event; false for one that is known: a stream that has moved on may tell it again. */
function takeEvent(event) {
  if (model.events.some((known) => known.id === event.id)) return false;
  model.events.push(event);
  model.events.sort((a, b) => a.id - b.id);
  if (model.events.length > 256) model.events.shift();
  return true;
}

/** Takes the list of methods: every one of the configuration has a row, called or not. */
function takeMethods(list) {
  model.calls = list.calls;
  model.known.clear();
  for (const method of list.methods)
    if (!model.known.has(method.name)) model.known.set(method.name, method);
}

/** All methods that there are to be shown: those of the configuration, and others once called. */
function shownMethods() {
  for (const name of model.known.keys())
    if (!model.methods.has(name)) model.methods.set(name, newMethod(name));
  return [...model.methods.values()];
}
