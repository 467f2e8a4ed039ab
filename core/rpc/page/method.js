// One method: what is known of it, and the form that calls it.

const opened = {name: null, fields: [], raw: true, call: 0};

function fact(name, value, className) {
  return make("div", {}, make("dt", {}, name), make("dd", className ? {class: className} : {}, value));
}

/** The figures in the dialog, which go on while it is open. */
function showFacts() {
  const method = model.methods.get(opened.name);
  if (opened.name === null || !method) return;
  const failed = sum(method.codes);
  $("method-facts").replaceChildren(
    fact("Module", moduleOf(method.name) || "–"), fact("State", stateOf(method), method.out ? "bad" : ""),
    fact("Calls", method.calls.toLocaleString("en")), fact("Errors", failed.toLocaleString("en"), failed ? "bad" : ""),
    fact("Rate", `${count(method.rate)}/s`), fact("In flight", count(method.inFlight)),
    fact("p50 and p99 now", `${time(method.p50)}, ${time(method.p99)}`),
    fact("p50 and p99 in all", `${time(percentile(method.buckets, 0.5))}, ${time(percentile(method.buckets, 0.99))}`));
  $("method-errors").hidden = failed === 0;
  $("method-errors-list").replaceChildren(...[...method.codes].sort((a, b) => b[1] - a[1])
    .map(([code, n]) => fact(model.codes[code] ?? "?", n.toLocaleString("en"))));
}

function showMode() {
  $("call-fields").hidden = opened.raw;
  $("call-json").hidden = !opened.raw;
  $("call-raw").checked = opened.raw;
}

/** Why the method cannot be called here; "" when it can. */
function noCall(known) {
  if (!model.calls) return "Calls from this page are off (status_calls).";
  if (!known) return "It is no method of this server block.";
  return known.here ? "" : "It is a method of another server block: its own listener takes calls.";
}

function openMethod(name) {
  const known = model.known.get(name), why = noCall(known), schema = known?.params ?? null;
  Object.assign(opened, {name, fields: hasFields(schema) ? makeFields(schema) : [], raw: !hasFields(schema), call: opened.call + 1});
  $("method-title").textContent = name;
  $("method-summary").textContent = known?.summary ?? "";
  $("call-none").textContent = why;
  $("call-none").hidden = why === "";
  $("call-form").hidden = why !== "";
  $("call-mode").hidden = opened.fields.length === 0;
  $("call-fields").replaceChildren(...opened.fields.map((field) => field.node));
  $("call-text").value = "";
  $("call-text").placeholder = schema ? "{}" : "JSON, or nothing";
  $("call-json-wrong").textContent = "";
  $("call-send").textContent = known?.read_only ? "Call" : "Call (it may change something)";
  $("call-send").disabled = false;
  $("answer").hidden = true;
  showMode();
  showFacts();
  $("method").showModal();
}

/** The body of the request: what the fields or the text say. Throws when something is wrong. */
function paramsText() {
  if (!opened.raw) return JSON.stringify(readFields(opened.fields));
  const text = $("call-text").value.trim();
  say($("call-json-wrong"), "");
  $("call-text").removeAttribute("aria-invalid");
  if (text === "") return "";
  try {
    parseJson(text);
  } catch (error) {
    say($("call-json-wrong"), `The params: ${error.message}`);
    $("call-text").setAttribute("aria-invalid", "true");
    $("call-text").focus();
    throw error;
  }
  return text;
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function showAnswer(line, body, failed) {
  $("answer").hidden = false;
  say($("answer-line"), line);
  mark($("answer-line"), "bad", failed);
  $("answer-body").textContent = body;
  $("answer").scrollIntoView({block: "nearest"});
}

async function callMethod(event) {
  event.preventDefault();
  let body;
  try {
    body = paramsText();
  } catch {
    return;
  }
  const mine = ++opened.call, began = performance.now();
  $("call-send").disabled = true;
  let answer;
  try {
    const reply = await fetch("/" + encodeURIComponent(opened.name), {method: "POST", body, headers: {"Content-Type": "application/json", ...authorization()}});
    const text = await reply.text(), took = time((performance.now() - began) * 1000);
    answer = [`${reply.status} ${reply.statusText}, ${took}, ${text.length.toLocaleString("en")} characters`, pretty(text), !reply.ok];
  } catch (error) {
    answer = [`No answer: ${error.message}`, "", true];
  }
  if (mine !== opened.call) return;
  $("call-send").disabled = false;
  showAnswer(...answer);
}

function startMethod() {
  $("call-form").addEventListener("submit", callMethod);
  $("call-raw").addEventListener("change", () => {
    if ($("call-raw").checked)
      try { $("call-text").value = JSON.stringify(readFields(opened.fields), null, 2); } catch { /* said at its field */ }
    opened.raw = $("call-raw").checked;
    showMode();
  });
  $("method").addEventListener("close", () => { opened.name = null; opened.call++; });
}
