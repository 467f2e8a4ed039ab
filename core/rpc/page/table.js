// Tables that sort, filter and change in place. Rows live as long as what they show; a cell is
// written only when its text is another one, and rows move only while nobody is in the table.

const collator = new Intl.Collator("en", {numeric: true});

/** `columns`: {name, key(item), text(item), first order, class, cell(td, item)}; `id(item)`. */
class Table {
  constructor(node, columns, options) {
    this.node = node;
    this.columns = columns;
    this.options = options;
    this.rows = new Map();
    this.sort = options.sort;
    this.order = [];
    this.heads = columns.map((column, i) => {
      const button = make("button", {type: "button", onclick: () => this.sortBy(i)}, column.name);
      return make("th", {scope: "col", class: column.class}, button);
    });
    node.tHead.rows[0].append(...this.heads);
    this.showSort();
  }

  get body() { return this.node.tBodies[0]; }

  /** True while somebody points at a row, or is in one with the keyboard. */
  get held() { return this.body.matches(":hover") || this.body.contains(document.activeElement); }

  sortBy(i) {
    const same = this.sort[0] === i;
    this.sort = [i, same ? -this.sort[1] : this.columns[i].order ?? 1];
    this.showSort();
    this.arrange(true);
  }

  showSort() {
    this.heads.forEach((head, i) => {
      if (i === this.sort[0]) head.setAttribute("aria-sort", this.sort[1] > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
  }

  newRow(item) {
    const cells = this.columns.map((column, i) => make(i === 0 ? "th" : "td", {class: column.class, ...(i === 0 ? {scope: "row"} : {})}));
    cells.forEach((cell, i) => this.columns[i].begin?.(cell, item));
    return {node: make("tr", {}, ...cells), cells, item};
  }

  /** Shows these items. */
  show(items) {
    const here = new Set();
    let changed = false;
    for (const item of items) {
      const id = this.options.id(item);
      here.add(id);
      let row = this.rows.get(id);
      if (!row) {
        this.rows.set(id, row = this.newRow(item));
        changed = true;
      }
      row.item = item;
    }
    for (const [id, row] of this.rows) {
      if (here.has(id)) continue;
      row.node.remove();
      this.rows.delete(id);
      this.order = this.order.filter((other) => other !== row);
    }
    this.arrange(changed);
  }

  /** Writes the cells of a row that can be seen. */
  write(row) {
    this.columns.forEach((column, i) => {
      if (column.cell) column.cell(row.cells[i], row.item);
      else say(row.cells[i], column.text(row.item));
    });
  }

  compare(a, b) {
    const [i, direction] = this.sort, key = this.columns[i].key;
    const x = key(a.item), y = key(b.item);
    const order = typeof x === "string" ? collator.compare(x, y) : (x ?? -1) - (y ?? -1);
    return order * direction || collator.compare(this.options.id(a.item), this.options.id(b.item));
  }

  /** Sorts, filters, and writes what can be seen: the first of the rows, unless all are wanted.
   * Without `force`, rows stay where they are while somebody is among them. */
  arrange(force) {
    const matches = this.options.matches ?? (() => true), most = this.options.most ?? Infinity;
    if (force || !this.held) this.reorder([...this.rows.values()].sort((a, b) => this.compare(a, b)));
    let found = 0;
    for (const row of this.order) {
      const hide = !matches(row.item) || ++found > most;
      if (!hide) this.write(row);
      if (row.node.hidden !== hide) row.node.hidden = hide;
    }
    this.options.counted?.(Math.min(found, most), found, this.rows.size);
  }

  reorder(order) {
    if (order.length === this.order.length && order.every((row, i) => row === this.order[i])) return;
    this.order = order;
    const focused = document.activeElement;
    let at = this.body.firstChild;
    for (const row of order) {
      if (row.node === at) at = at.nextSibling;
      else this.body.insertBefore(row.node, at);
    }
    if (focused !== document.activeElement && this.body.contains(focused)) focused.focus();
  }
}

/** A cell of a number, quiet where it is nothing. */
const numberCell = (value, text) => (cell, item) => {
  const v = value(item);
  say(cell, v === null || v === 0 ? (v === 0 ? "0" : "–") : text(v));
  mark(cell, "zero", !v);
};

/** The second line is there where columns are not. */
const twoLines = (cell) => cell.append(make("span"), make("span", {class: "sub"}));

const workerTable = () => new Table($("workers"), [
  {name: "Worker", key: (w) => w.slot, begin: twoLines, cell: (cell, w) => {
    say(cell.firstChild, String(w.slot));
    say(cell.lastChild, `pid ${w.pid}`);
  }},
  {name: "PID", class: "n mid", key: (w) => w.pid, text: (w) => String(w.pid)},
  {name: "Gen.", class: "n mid", key: (w) => w.generation, text: (w) => String(w.generation)},
  {name: "State", key: (w) => w.state, begin: twoLines, cell: (cell, w) => {
    say(cell.firstChild, `${w.state} ${age(w.since_ms)}`);
    say(cell.lastChild, `gen. ${w.generation}, lag ${time(w.lag_us)}, own ${size(w.private_bytes)}`);
    mark(cell.firstChild, "warned", w.state !== "serving");
  }},
  {name: "Conns", class: "n", order: -1, key: (w) => w.connections, text: (w) => count(w.connections)},
  {name: "Rate/s", class: "n", order: -1, key: (w) => w.rate, cell: numberCell((w) => w.rate, count)},
  {name: "CPU", class: "n", order: -1, key: (w) => w.cpu, text: (w) => `${w.cpu < 9.95 ? w.cpu.toFixed(1) : Math.round(w.cpu)} %`},
  {name: "Loop lag", class: "n mid", order: -1, key: (w) => w.lag_us, text: (w) => time(w.lag_us)},
  {name: "Memory", class: "n mid", order: -1, key: (w) => w.rss_bytes, text: (w) => size(w.rss_bytes)},
  {name: "Own", class: "n mid", order: -1, key: (w) => w.private_bytes, text: (w) => size(w.private_bytes)},
  {name: "Runs", class: "mid", key: (w) => running(w), text: running},
], {id: (w) => w.pid, sort: [0, 1]});

const running = (w) => (w.running > 0 ? model.names[w.running - 1] ?? "?" : "–");
const OWN = new Set(["mcp", "metrics", "status"]); // methods that each server has beside its own

function moduleOf(name) {
  const known = model.known.get(name);
  return known ? `${known.module} ${known.version}`.trim() : OWN.has(name) ? "the server's own" : "";
}

/** "quarantined", "removed" of one that no configuration has any more, "in use", "idle". */
function stateOf(method) {
  if (method.out) return "quarantined";
  if (!model.known.has(method.name) && !OWN.has(method.name) && model.known.size > 0) return "removed";
  return method.rate > 0 || method.inFlight > 0 ? "in use" : "idle";
}

const methodTable = (open) => new Table($("methods-table"), [
  {name: "Method", key: (m) => m.name, begin: (cell, m) => {
    cell.append(make("button", {type: "button", "aria-haspopup": "dialog", onclick: () => open(m.name)}, m.name), make("span", {class: "sub"}), make("span", {class: "out bad"}));
  }, cell: (cell, m) => {
    say(cell.children[1], moduleOf(m.name));
    say(cell.lastChild, m.out ? stateOf(m) : "");
  }},
  {name: "Module", class: "mid", key: (m) => moduleOf(m.name), text: (m) => moduleOf(m.name)},
  {name: "Rate/s", class: "n", order: -1, key: (m) => m.rate, cell: numberCell((m) => m.rate, count)},
  {name: "Errors/s", class: "n", order: -1, key: (m) => m.errors, begin: (cell) => cell.append(make("span", {class: "code wide"}), " ", make("span")),
    cell: (cell, m) => {
      say(cell.firstChild, m.top.join(", "));
      say(cell.lastChild, count(m.errors));
      mark(cell, "zero", m.errors === 0);
      mark(cell.lastChild, "bad", m.errors > 0);
    }},
  {name: "p50", class: "n wide", order: -1, key: (m) => m.p50, cell: numberCell((m) => m.p50, time)},
  {name: "p99", class: "n", order: -1, key: (m) => m.p99, cell: numberCell((m) => m.p99, time)},
  {name: "In flight", class: "n mid", order: -1, key: (m) => m.inFlight, cell: numberCell((m) => m.inFlight, count)},
  {name: "State", class: "wide", key: stateOf, cell: (cell, m) => {
    say(cell, stateOf(m));
    mark(cell, "bad", m.out);
    mark(cell, "zero", stateOf(m) === "idle");
  }},
], {
  id: (m) => m.name, sort: [2, -1], most: 100,
  matches: (m) => {
    const wanted = $("filter").value.trim().toLowerCase();
    return wanted === "" || `${m.name} ${moduleOf(m.name)} ${stateOf(m)}`.toLowerCase().includes(wanted);
  },
  counted: (shown, found, all) => {
    say($("filter-count"), found === all ? `${all} methods` : `${found} of ${all} methods`);
    say($("more"), `Show all ${found}`);
    if ($("more").hidden !== (shown === found)) $("more").hidden = shown === found;
  },
});
