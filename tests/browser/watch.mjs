// The page of a server with `status on`, in Debian's Chromium: it loads, lives, calls and shows what
// happens, for every kind of eye and hand.
//
//     PILLION_BUILD=build node tests/browser/watch.mjs PACKAGES [CASE…]
//
// PACKAGES is a directory with those of npm/. SHOTS=DIRECTORY keeps a picture of each look of the
// page there, for people. Anything that the page writes to the console, and any request elsewhere,
// fails the case in which it happens.

import {execFileSync, spawn} from "node:child_process";
import {existsSync, mkdirSync, mkdtempSync, readdirSync, copyFileSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {createRequire} from "node:module";
import {connect, createServer} from "node:net";
import {tmpdir} from "node:os";
import {join, resolve} from "node:path";
import {strict as assert} from "node:assert";

const packages = createRequire(resolve(process.argv[2], "package.json"));
const {chromium} = packages("playwright-core");
const axe = readFileSync(packages.resolve("axe-core/axe.min.js"), "utf8");
const build = resolve(process.env.PILLION_BUILD ?? "build");
const PATIENCE = 60000;
const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-headless-shell"].find(existsSync);

// ---- A server ----

/** A port below those that connections get theirs from. */
async function freePort() {
  for (let port = 21000 + process.pid % 4000 * 2; ; port++) {
    const probe = createServer();
    const free = await new Promise((done) => probe.once("error", () => done(false)).listen(port, "127.0.0.1", () => done(true)));
    await new Promise((done) => probe.close(done));
    if (free) return port;
  }
}

class Server {
  constructor(port) {
    this.port = port;
    this.prefix = mkdtempSync(join(tmpdir(), "pillion-watch-"));
    for (const name of ["conf", "run", "modules"]) mkdirSync(join(this.prefix, name));
    for (const from of [join(build, "modules"), join(build, "tests/modules")])
      for (const name of readdirSync(from).filter((name) => name.endsWith(".so")))
        copyFileSync(join(from, name), join(this.prefix, "modules", name));
  }

  /** `text` goes into the server block, `main` before it. */
  configure(text, main = "") {
    writeFileSync(join(this.prefix, "conf/pillion.conf"), `
worker_processes 2; status_interval 200ms; quarantine_crashes 2; ${main}
load_module modules/ping.so;
load_module modules/hello.so;
load_module modules/rpc.so;
load_module modules/schemas.so;
load_module modules/auth.so;
load_module modules/crash.so { journal run/journal; }
server { listen 127.0.0.1:${this.port}; status on; method ping; ${text} }
`);
  }

  async start() {
    this.process = spawn(join(build, "pillion"), ["-p", this.prefix], {stdio: ["ignore", "ignore", "pipe"]});
    this.log = "";
    this.process.stderr.on("data", (data) => { this.log += data; });
    await until(() => this.log.includes("generation 1 serves"), () => `the server does not serve: ${this.log}`);
  }

  reload() {
    execFileSync(join(build, "pillion"), ["-s", "reload", "-p", this.prefix], {stdio: "ignore"});
  }

  async call(method, params = "1") {
    const reply = await fetch(`http://127.0.0.1:${this.port}/${method}`, {method: "POST", body: params});
    return reply.text();
  }

  async stop() {
    const over = new Promise((done) => this.process.once("exit", done));
    this.process.kill("SIGTERM");
    await over;
    rmSync(this.prefix, {recursive: true});
  }
}

async function until(condition, what) {
  for (const end = Date.now() + PATIENCE; !(await condition());) {
    if (Date.now() > end) throw new Error(what());
    await new Promise((done) => setTimeout(done, 50));
  }
}

// ---- Pages ----

/** Opens the page; `wrong` collects what it must not do. */
async function open(browser, server, options = {}) {
  const context = await browser.newContext({viewport: {width: 1280, height: 900}, colorScheme: "light", ...options});
  const page = await context.newPage(), origin = `http://127.0.0.1:${server.port}`;
  page.wrong = [];
  page.setDefaultTimeout(PATIENCE);
  page.on("console", (message) => page.wrong.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => page.wrong.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(origin + "/") && !request.url().startsWith("data:")) page.wrong.push(`asks ${request.url()}`);
  });
  await page.addInitScript(() => {
    globalThis.violations = [];
    addEventListener("securitypolicyviolation", (event) => globalThis.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  const response = await page.goto(origin + "/");
  assert.equal(response.status(), 200);
  await page.locator("#state[data-state=live]").waitFor();
  await page.locator("#now-rate", {hasText: /\d/}).waitFor();
  return page;
}

async function finish(page, allowed = () => false) {
  const wrong = [...page.wrong, ...await page.evaluate(() => globalThis.violations)];
  await page.context().close();
  assert.deepEqual(wrong.filter((text) => !allowed(text)), []);
}

/** What axe finds against the page as it is. */
async function inspect(page) {
  // By the debugger, which no policy of the page's hinders.
  const found = await page.evaluate(`(async () => {
    const module = undefined, define = undefined; ${axe};
    const result = await axe.run(document, {resultTypes: ["violations", "incomplete"]});
    return result.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.html + " " + n.failureSummary).join("; "));
  })()`);
  assert.deepEqual(found, []);
}

async function shoot(page, name, fullPage = true) {
  if (!process.env.SHOTS) return;
  mkdirSync(process.env.SHOTS, {recursive: true});
  await page.screenshot({path: join(process.env.SHOTS, `${name}.png`), fullPage});
}

const row = (page, name) => page.locator("#methods-table tbody tr", {has: page.getByRole("button", {name, exact: true})});
const openMethod = async (page, name) => {
  // A row may change its place between the look at where it is and the click; not after that, for
  // rows stay while the pointer is among them.
  await until(async () => {
    await page.getByRole("button", {name, exact: true}).click();
    return page.locator("#method[open]").isVisible();
  }, () => `${name} does not open`);
};

/** No part of the page is wider than the window. */
async function expectNoScrolling(page) {
  const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide <= window, `the page is ${wide} pixels wide, in a window of ${window}`);
}

// ---- Cases ----

const cases = {};
const CALLS = "method greet; method order; method word; method rpc.health; method abort; status_calls on;";

cases.it_loads_and_lives = async (browser, server) => {
  const page = await open(browser, server);
  assert.equal(await page.title(), "Pillion");
  await row(page, "ping").waitFor();
  const before = await page.locator("#uptime").textContent();
  await until(async () => (await page.locator("#uptime").textContent()) !== before, () => "the page does not live");
  for (let i = 0; i < 5; i++) await server.call("ping");
  await openMethod(page, "ping");
  await page.locator("#method-facts", {hasText: /Calls[1-9]/}).waitFor();
  await page.keyboard.press("Escape");
  // The chart says in words what it shows.
  assert.match(await page.locator("#chart-text").textContent(), /Requests a second: .* now, between .* and .*Connections/);
  assert.ok(await page.locator("#plot polyline.rate").count() > 0);
  assert.equal(await page.locator("#workers tbody tr").count(), 2);
  await finish(page);
};

cases.words_of_the_chart_tell_what_is_now = async (browser, server) => {
  const page = await open(browser, server), words = page.locator("#chart-text");
  await server.call("ping");
  // The latency of a call some samples ago is not that of now, when there was none.
  await words.filter({hasText: /Median latency: none now, between \d.* and \d.*p99 latency: none now, between \d/}).waitFor();
  await finish(page);
};

cases.a_curve_has_gaps_where_nothing_is_known = async () => {
  const script = ["format", "model", "chart"].map((name) => readFileSync(new URL(`../../core/rpc/page/${name}.js`, import.meta.url), "utf8"));
  const {runs, isSameServer} = new Function(`${script.join("\n")}; return {runs, isSameServer};`)();
  const sizes = (points) => runs(points, "rate").map((run) => run.length);
  const at = (...seconds) => seconds.map((s) => ({at: s * 1000, fresh: false, rate: 1}));
  assert.deepEqual(sizes(at(0, 1, 2, 30, 31)), [3, 2]);
  assert.deepEqual(sizes(at(0, 60, 120, 180)), [4]); // status_interval 1m
  assert.deepEqual(sizes(at(0, 60, 120, 600, 660)), [3, 2]);
  assert.deepEqual(sizes([...at(0, 1), {at: 2000, fresh: true, rate: 1}]), [2, 1]);
  // A server that was started a moment later, and has run for longer when the next sample comes.
  assert.deepEqual([[4000, 400], [4000, 300], [4400, 400], [4400, 200]].map(
    ([started_at_ms, uptime_ms]) => isSameServer({started_at_ms: 4000, uptime_ms: 300}, {started_at_ms, uptime_ms})),
    [true, false, false, false]);
};

cases.rates_and_errors_are_those_of_the_calls = async (browser, server) => {
  const page = await open(browser, server);
  let stop = false;
  const load = (async () => { while (!stop) { await server.call("ping"); await server.call("greet", "{\"nme\":1}"); } })();
  await row(page, "ping").locator("td", {hasText: /^[1-9]/}).first().waitFor();
  await row(page, "greet").getByText("invalid_params").waitFor();
  await page.locator("#tile-errors.alarm").waitFor();
  await row(page, "ping").locator("td", {hasText: /(ns|µs|ms)$/}).first().waitFor();
  stop = true;
  await load;
  await page.locator("#tile-errors:not(.alarm)").waitFor();
  await finish(page);
};

cases.a_form_calls_its_method = async (browser, server) => {
  const page = await open(browser, server);
  await openMethod(page, "greet");
  await page.getByLabel("name").fill("Ada");
  await page.getByRole("button", {name: /^Call/}).click();
  await page.locator("#answer-line", {hasText: /^200 OK, .*(µs|ms|s), \d+ characters/}).waitFor();
  assert.match(await page.locator("#answer-body").textContent(), /Ada/);
  await page.getByLabel("name").fill("");
  await page.getByLabel("Params as JSON").check();
  await page.locator("#call-text").fill("{\"name\": ");
  await page.getByRole("button", {name: /^Call/}).click();
  await page.locator("#call-json-wrong", {hasText: "it is not JSON"}).waitFor();
  await page.locator("#call-text").fill("{\"nme\": 1}");
  await page.getByRole("button", {name: /^Call/}).click();
  await page.locator("#answer-line.bad", {hasText: /^422|^400/}).waitFor();
  assert.match(await page.locator("#answer-body").textContent(), /invalid_params/);
  await finish(page, (text) => /status of 4/.test(text)); // the browser tells of each such response
};

cases.fields_are_those_of_the_schema = async (browser, server) => {
  const page = await open(browser, server);
  await openMethod(page, "order");
  assert.equal(await page.getByLabel("pieces").getAttribute("type"), "number");
  assert.equal(await page.getByLabel("pieces").getAttribute("max"), "99");
  assert.equal(await page.getByLabel("sku").getAttribute("aria-required"), "true");
  await page.getByLabel("sku").fill("pear");
  await page.getByLabel("pieces").fill("3");
  await page.getByRole("button", {name: "Call", exact: true}).click();
  await page.locator("#answer-line", {hasText: /^\d/}).waitFor();
  await page.keyboard.press("Escape");
  await openMethod(page, "ping"); // which declares none
  assert.ok(await page.locator("#call-text").isVisible());
  await finish(page, (text) => /status of/.test(text));
};

cases.nothing_can_be_called_where_calls_are_off = async (browser, server) => {
  server.configure("method greet;");
  server.reload();
  const page = await open(browser, server);
  await openMethod(page, "greet");
  await page.getByText("Calls from this page are off (status_calls).").waitFor();
  assert.equal(await page.locator("#call-form").isVisible(), false);
  await finish(page);
};

cases.a_reload_is_shown_as_it_happens = async (browser, server) => {
  const page = await open(browser, server);
  const before = Number(await page.locator("#generation").textContent());
  server.configure(CALLS + "method brand.new { handler ping.ping; }");
  server.reload();
  await page.locator("#generation", {hasText: String(before + 1)}).waitFor();
  await row(page, "brand.new").waitFor();
  await page.locator("#events li", {hasText: /^[\d:]+reload/}).first().waitFor();
  assert.ok(await page.locator("#plot .event.notice").count() > 0);
  await page.locator("#announce p", {hasText: "reload"}).first().waitFor({state: "attached"});
  assert.equal(await page.locator("#state").getAttribute("data-state"), "live");
  await finish(page);
};

cases.a_crash_is_shown_as_it_happens = async (browser, server) => {
  const page = await open(browser, server);
  await server.call("abort");
  await server.call("abort");
  await row(page, "abort").locator("td", {hasText: "quarantined"}).waitFor();
  assert.equal(await page.locator("#state").getAttribute("data-state"), "live");
  await page.locator("#events li.error", {hasText: /crash.*abort/}).first().waitFor();
  await page.locator("#events li.error", {hasText: "quarantine"}).waitFor();
  assert.ok(await page.locator("#plot .event.error").count() >= 2);
  assert.match(await page.locator("#chart-text").textContent(), /Events: .*crash at/);
  await shoot(page, "crash");
  // A phone has no room for the column, and is told beside the name.
  await page.setViewportSize({width: 360, height: 740});
  await row(page, "abort").locator("th").getByText("quarantined").waitFor();
  await page.setViewportSize({width: 1280, height: 900});
  await openMethod(page, "abort");
  await page.locator("#method-errors-list", {hasText: "module_crashed"}).waitFor();
  await finish(page);
};

cases.it_comes_back_when_the_server_does = async (browser, server) => {
  const page = await open(browser, server);
  server.process.kill("SIGKILL");
  await page.locator("#state[data-state=lost]").waitFor();
  server.configure(CALLS + "method brand.new { handler ping.ping; }");
  await server.start();
  await page.locator("#state[data-state=live]").waitFor();
  // The curve has a gap: nothing is known of the time without a server.
  await until(async () => await page.locator("#plot .curve.rate").count() === 2, () => "the chart goes on as if nothing had been");
  await row(page, "brand.new").waitFor(); // the new server's first generation is another one
  await finish(page, (text) => /ERR_(CONNECTION_REFUSED|CONNECTION_RESET|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE)/.test(text));
};

cases.a_network_that_is_gone_is_told_though_no_connection_ends = async (browser, server) => {
  const ends = [];
  const between = createServer((client) => {
    const behind = connect(server.port, "127.0.0.1");
    ends.push(client, behind);
    for (const end of [client, behind]) end.on("error", () => {});
    client.pipe(behind).pipe(client);
  });
  await new Promise((done) => between.listen(server.port + 1, "127.0.0.1", done));
  const page = await open(browser, {port: server.port + 1});
  for (const end of ends) end.unpipe().pause();
  await page.locator("#state[data-state=lost]").waitFor();
  await page.locator("#state[data-state=live]").waitFor(); // by a new connection
  await finish(page);
  for (const end of ends) end.destroy();
  between.close();
};

cases.it_can_be_paused = async (browser, server) => {
  const page = await open(browser, server);
  await page.getByRole("button", {name: "Pause"}).click();
  await page.locator("#state[data-state=paused]").waitFor();
  const paused = await page.locator("#plot").innerHTML();
  await server.call("ping");
  await finish(await open(browser, server)); // another page has taken samples meanwhile
  assert.equal(await page.locator("#plot").innerHTML(), paused);
  await page.getByRole("button", {name: "Pause"}).click();
  await page.locator("#state[data-state=live]").waitFor();
  await finish(page);
};

cases.tables_sort_and_filter_by_keyboard = async (browser, server) => {
  const page = await open(browser, server);
  await row(page, "ping").waitFor();
  const names = () => page.locator("#methods-table tbody tr:visible th button").allTextContents();
  await page.getByRole("columnheader", {name: "Method"}).getByRole("button").focus();
  await page.keyboard.press("Enter");
  await page.locator("#methods-table th[aria-sort=ascending]", {hasText: "Method"}).waitFor();
  const sorted = await names();
  assert.deepEqual(sorted, [...sorted].sort((a, b) => a.localeCompare(b)));
  await page.keyboard.press("Enter");
  assert.deepEqual(await names(), sorted.reverse());
  await page.getByLabel("Filter").fill("hello");
  await page.locator("#filter-count", {hasText: "1 of"}).waitFor();
  assert.deepEqual(await names(), ["greet"]);
  await page.getByRole("button", {name: "greet", exact: true}).focus();
  await page.keyboard.press("Enter");
  await page.locator("#method[open]").waitFor();
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "greet");
  // The chart is read by its slider.
  await page.locator("#cursor").focus();
  await page.keyboard.press("ArrowLeft");
  assert.match(await page.locator("#cursor").getAttribute("aria-valuetext"), /requests\/s, .* connections$/);
  await finish(page);
};

cases.a_token_goes_with_calls = async (browser, server) => {
  server.configure("status_calls on; method greet { filter auth { token secret; } }");
  server.reload();
  const page = await open(browser, server);
  await page.getByRole("button", {name: "Token"}).click();
  await page.getByLabel("Bearer token").fill("secret");
  await page.getByRole("button", {name: "Use it"}).click();
  await page.locator("#state[data-state=live]").waitFor();
  await openMethod(page, "greet");
  await page.getByLabel("name").fill("Ada");
  await page.getByRole("button", {name: /^Call/}).click();
  await page.locator("#answer-line", {hasText: "200 OK"}).waitFor();
  await finish(page);
};

cases.a_server_that_wants_a_token_is_opened_with_one = async (browser, server) => {
  server.configure("status_calls on; filter auth { token secret; }");
  server.reload();
  const page = await browser.newPage(), wrong = [];
  page.setDefaultTimeout(PATIENCE);
  page.on("console", (message) => wrong.push(message.text()));
  assert.equal((await page.goto(`http://127.0.0.1:${server.port}/`)).status(), 401);
  await page.getByLabel("Bearer token").fill("wrong");
  await page.getByRole("button", {name: "Use it"}).click();
  await page.locator("#trouble", {hasText: "token"}).waitFor({state: "attached"});
  await page.getByLabel("Bearer token").fill("secret");
  await page.getByRole("button", {name: "Use it"}).click();
  await page.locator("#state[data-state=live]").waitFor();
  await row(page, "ping").waitFor();
  await page.close();
  assert.deepEqual(wrong.filter((text) => !/status of 401/.test(text)), []);
};

cases.five_hundred_methods_do_not_hold_it_up = async (browser, server) => {
  const many = Array.from({length: 500}, (_, i) => `method shop.part${i % 7}.number${i} { handler ping.ping; }`).join("\n");
  server.configure(CALLS + many);
  server.reload();
  const page = await open(browser, server);
  await page.locator("#filter-count", {hasText: /^50\d methods/}).waitFor();
  let stop = false, at = 0;
  const load = Promise.all(Array.from({length: 4}, async () => { while (!stop) { at = (at + 1) % 500; await server.call(`shop.part${at % 7}.number${at}`); } }));
  // How long the page takes is the machine's business; how much it does for a sample is its own: a
  // hundred rows are there to be laid out, and of them those that have changed are written.
  const [rows, writes] = await page.evaluate(async () => {
    const body = document.querySelector("#methods-table tbody");
    let writes = 0, samples = 0;
    new MutationObserver((list) => { writes += list.length; }).observe(body, {subtree: true, childList: true, characterData: true, attributes: true});
    await new Promise((done) => {
      new MutationObserver(() => { if (++samples === 5) done(); }).observe(document.getElementById("plot"), {childList: true});
    });
    return [[...body.rows].filter((row) => !row.hidden).length, writes / samples];
  });
  stop = true;
  await load;
  assert.equal(rows, 100);
  assert.ok(writes < 100 * 9 + 500 * 3, `a sample changes ${writes} things`);
  await page.getByRole("button", {name: /^Show all 50/}).click();
  await until(async () => await page.locator("#methods-table tbody tr:visible").count() > 500, () => "not all are shown");
  await page.getByLabel("Filter").fill("number49");
  await page.locator("#filter-count", {hasText: "11 of 50"}).waitFor();
  await shoot(page, "many");
  await finish(page);
};

cases.the_narrowest_phone_has_all_words_apart = async (browser, server) => {
  const page = await open(browser, server, {viewport: {width: 320, height: 640}});
  for (let i = 0; i < 30; i++) await server.call(i % 5 ? "ping" : "greet", "{}");
  await row(page, "greet").waitFor();
  await expectNoScrolling(page);
  await shoot(page, "narrowest");
  // What a cell has is no wider than it, names are not broken, and labels of the chart do not meet.
  const wrong = await page.evaluate(() => {
    const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    const labels = [...document.querySelectorAll("#plot text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
    const cells = [...document.querySelectorAll("#workers th, #workers td, #methods-table th, #methods-table td")];
    const names = [...document.querySelectorAll("#methods-table tbody th button")];
    return [...cells.filter((cell) => cell.scrollWidth > cell.clientWidth).map((cell) => cell.textContent),
      ...names.filter((name) => { const range = document.createRange(); range.selectNodeContents(name); return range.getClientRects().length > 1; }).map((name) => name.textContent),
      ...labels.flatMap(([text, box], i) => labels.slice(i + 1).filter(([, other]) => meet(box, other)).map(([other]) => `${text} and ${other}`))];
  });
  assert.deepEqual(wrong, []);
  await finish(page);
};

for (const scheme of ["light", "dark"]) {
  for (const [size, viewport] of [["desktop", {width: 1280, height: 900}], ["phone", {width: 360, height: 740}]]) {
    cases[`${scheme}_on_a_${size}_has_nothing_against_it`] = async (browser, server) => {
      const page = await open(browser, server, {colorScheme: scheme, viewport, reducedMotion: "reduce"});
      for (let i = 0; i < 30; i++) await server.call(i % 5 ? "ping" : "greet", "{}");
      await row(page, "greet").waitFor();
      await expectNoScrolling(page);
      await shoot(page, `${scheme}-${size}`);
      await inspect(page);
      await page.locator("#figures summary").click();
      await page.locator("#figures-body tr").first().waitFor();
      await inspect(page);
      await openMethod(page, "greet");
      await page.getByRole("button", {name: /^Call/}).click();
      await page.locator("#answer-line.bad").waitFor();
      await shoot(page, `${scheme}-${size}-method`, false);
      await expectNoScrolling(page);
      await inspect(page);
      await page.keyboard.press("Escape");
      await page.getByRole("button", {name: "Token"}).click();
      await inspect(page);
      await finish(page, (text) => /status of 4/.test(text));
    };
  }
}

// ---- Running ----

async function run(browser, name) {
  const server = new Server(await freePort());
  server.configure(CALLS);
  try {
    await server.start();
    await cases[name](browser, server);
    return null;
  } catch (error) {
    return `${error.stack ?? error}\n${server.log.slice(-1500)}`;
  } finally {
    await server.stop();
  }
}

async function main() {
  const chosen = process.argv.length > 3 ? process.argv.slice(3) : Object.keys(cases);
  const browser = await chromium.launch({executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"]});
  let failed = 0;
  for (const name of chosen) {
    const wrong = await run(browser, name);
    if (wrong === null) continue;
    failed++;
    console.log(`failed: ${name}: ${wrong}`);
  }
  await browser.close();
  console.log(`the page in a browser: ${chosen.length - failed} passed, ${failed} failed`);
  process.exitCode = failed ? 1 : 0;
}

await main();
