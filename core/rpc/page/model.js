// From samples to rates. A sample has counts since the server's start, and those methods alone that
// have changed, so what an interval had is the difference between two samples, however far apart.

const KEPT_MS = 900000;

const model = {
  names: [], codes: [], bounds: [], version: "",
  methods: new Map(),  // by name: see newMethod
  workers: new Map(),  // by pid: see newWorker
  last: null,          // the sample before
  points: [],          // of the chart: {at, rate, errors, p50, p99, connections}
  events: [],          // oldest first
  known: new Map(),    // by name, of /status/methods
  calls: false,
};

const newMethod = (name) => ({
  name, calls: 0, inFlight: 0, out: false, buckets: new Map(), codes: new Map(),
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

/** Takes a method's row of a sample; gives what the interval had. */
function takeMethod(row, seconds) {
  const [index, calls, inFlight, out, , errors, latency] = row;
  const name = model.names[index];
  if (name === undefined) return null;
  let method = model.methods.get(name);
  if (!method) model.methods.set(name, method = newMethod(name));
  const buckets = pairs(latency), codes = pairs(errors);
  const gained = growth(buckets, method.buckets), failed = growth(codes, method.codes);
  const more = calls >= method.calls ? calls - method.calls : calls;
  Object.assign(method, {calls, inFlight, out: out === 1, buckets, codes});
  if (seconds > 0) {
    method.rate = more / seconds;
    method.errors = sum(failed) / seconds;
    method.top = [...failed].sort((a, b) => b[1] - a[1]).slice(0, 2).map(([code]) => model.codes[code] ?? "?");
    method.p50 = percentile(gained, 0.5);
    method.p99 = percentile(gained, 0.99);
  }
  return {more, gained, failed: sum(failed)};
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

/** Takes a sample. The first one, and that of a server that was started anew, only begins. */
function takeSample(sample) {
  const last = model.last;
  const goesOn = last !== null && sample.uptime_ms > last.uptime_ms;
  const seconds = goesOn ? (sample.uptime_ms - last.uptime_ms) / 1000 : 0;
  if (sample.whole)
    Object.assign(model, {names: sample.names, codes: sample.errors, bounds: sample.bounds_us, version: sample.version});
  if (!goesOn) model.methods.clear();
  for (const method of model.methods.values())
    Object.assign(method, {rate: 0, errors: 0, top: [], p50: null, p99: null});
  const all = {more: 0, failed: 0, gained: new Map()};
  for (const row of sample.methods) {
    const got = takeMethod(row, seconds);
    if (!got) continue;
    all.more += got.more;
    all.failed += got.failed;
    for (const [b, n] of got.gained) all.gained.set(b, (all.gained.get(b) ?? 0) + n);
  }
  takeWorkers(sample.workers, seconds);
  model.last = sample;
  if (!goesOn) return;
  model.points.push({
    at: sample.at_ms, rate: all.more / seconds, errors: all.failed / seconds,
    p50: percentile(all.gained, 0.5), p99: percentile(all.gained, 0.99),
    connections: sample.connections,
  });
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
