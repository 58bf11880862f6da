// The live view of a run, in one file since there is no bundler. Text that comes from users is only ever set as textContent or as an attribute's value.

const WORD = { q: "queued", r: "running", d: "completed", h: "cached", f: "failed", s: "skipped", x: "cancelled" };
const GLYPH = { q: "○", r: "◐", d: "✓", h: "↺", f: "✗", s: "⊘", x: "■" };
const ORDER = "dhfrxsq"; // in a bar, from the left
const OF_WORD = Object.fromEntries(Object.entries(WORD).map(([letter, word]) => [word, letter]));
const TABS = [["graph", "Graph"], ["steps", "Steps"], ["timeline", "Timeline"]];
const NS = "http://www.w3.org/2000/svg";
const HINT_AFTER = 1500, TELL_EVERY = 10000, ASK_EVERY = 1000; // milliseconds
const COLOURS = ["#4a8fd4", "#38a58a", "#a985d6", "#d6a03a", "#5fb3c8", "#79a94c", "#8b8fb5", "#c08a62"]; // of nodes; none is a state's
const MOST_BARS = 1500; // with a name each
const QUIET = 150; // milliseconds without a snapshot, after which the clocks go on by themselves: each paint costs the workers time
const CELL = 18, WHOLE_GRID = 2000; // pixels a cell; more branches than this are drawn only where they can be seen
let serial = 0;

// --- small helpers ---------------------------------------------------------------------------------------------

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") element.textContent = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}
function draw(name, attributes = {}) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
function put(element, text) { if (element.textContent !== text) element.textContent = text; }
function flag(element, name, value) { if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value); }
const colourOf = node => COLOURS[node % COLOURS.length];
const number = value => value.toLocaleString("en-US");
function duration(seconds) {
  if (!(seconds >= 0)) return "";
  if (seconds < 0.0995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds), minutes = Math.floor(whole / 60);
  const two = value => String(value).padStart(2, "0");
  return minutes < 60 ? `${minutes} min ${two(whole % 60)} s` : `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}
function roughly(seconds) {
  if (seconds < 1) return "less than 1 s left";
  if (seconds < 10) return `about ${Math.ceil(seconds)} s left`;
  if (seconds < 55) return `about ${Math.ceil(seconds / 5) * 5} s left`;
  if (seconds < 5400) return `about ${Math.ceil(seconds / 60)} min left`;
  return `about ${Math.ceil(seconds / 3600)} h left`;
}
function letters(short) { // "d523r2q475" as a string with a letter for each branch
  return short.replace(/([a-z])(\d+)/g, (_, letter, times) => letter.repeat(+times));
}
function counts(short) {
  const found = {};
  for (const [, letter, times] of short.matchAll(/([a-z])(\d*)/g)) found[letter] = (found[letter] || 0) + (times ? +times : 1);
  return found;
}
function overall(count, size) { // one letter for the whole node: as in the record, but what goes on is running
  if (count.r || (count.q && (count.d || count.h || count.f) && !count.x)) return "r";
  for (const letter of "fxsq") {
    if (count[letter]) return letter;
  }
  return size && count.h === size ? "h" : "d";
}
function told(count) {
  return ORDER.split("").filter(letter => count[letter]).map(letter => `${number(count[letter])} ${WORD[letter]}`).join(", ");
}

// --- a bar with a part for each state ----------------------------------------------------------------------------

function bar() {
  const element = make("span", { class: "fl-bar", "aria-hidden": "true" });
  const parts = {};
  for (const letter of "dhfr") element.append(parts[letter] = make("span", { class: `fl-part fl-${letter}` }));
  return {
    element,
    set(count, size, share) {
      for (const letter of "dhfr") {
        const width = size ? 100 * (letter === "r" && share ? share : count[letter] || 0) / size : 0;
        const text = `${width.toFixed(2)}%`;
        if (parts[letter].style.width !== text) parts[letter].style.width = text;
      }
    },
  };
}

// --- the view --------------------------------------------------------------------------------------------------

class View {
  constructor(model) {
    this.model = model;
    this.id = `fl${++serial}-${Math.random().toString(36).slice(2, 7)}`;
    this.nodes = []; // what is drawn of each node
    this.zoom = null; // null: chosen by the view
    this.fitted = false; // whether the whole graph is to be seen, whatever becomes of it
    this.moved = false; // the person has scrolled: the view follows the run no more
    this.shows = true; // what the kernel sends to the cell's output comes into this page
    this.detail = null;
    this.names = {};
    this.lastTold = 0;
    this.saidFailed = false;
    this.build();
    this.setGraph();
    this.setPhase();
    this.update();
    this.observer = new ResizeObserver(() => this.sized());
    this.timer = setInterval(() => { if (!(performance.now() - this.heard < QUIET)) this.tick(); }, 100);
    this.asker = setInterval(() => this.ask(), ASK_EVERY);
    this.ask();
  }

  get person() { return { tab: "graph", open: null, branch: null, ...this.model.get("person") }; }
  set(changes) { this.model.set("person", { ...this.model.get("person"), ...changes }); } // never saved: it is the page's own

  // building, once

  build() {
    const id = this.id;
    this.glyph = make("span", { class: "fl-glyph", "aria-hidden": "true" });
    this.title = make("strong", { class: "fl-name", dir: "auto" });
    this.word = make("span", { class: "fl-word" });
    this.clock = make("span", { class: "fl-clock" });
    this.left = make("span", { class: "fl-left" });
    this.busy = make("span", { class: "fl-busy" });
    this.cancel = make("button", { type: "button", class: "fl-button fl-cancel", text: "Cancel", onclick: () => this.askCancel() });
    this.again = make("button", { type: "button", class: "fl-button fl-again", text: "Re-run failed", hidden: true, onclick: () => this.askAgain() });
    this.explore = make("button", { type: "button", class: "fl-button fl-explore", text: "Look closer", "aria-expanded": "false", hidden: true, onclick: () => this.unfold() });
    this.hint = make("span", { class: "fl-hint", role: "alert", hidden: true });
    this.total = bar();
    this.chips = make("span", { class: "fl-chips" });
    this.live = make("span", { class: "fl-hidden", role: "status", "aria-live": "polite" });
    const head = make("div", { class: "fl-head" },
      make("span", { class: "fl-title" }, this.glyph, this.title, this.word),
      make("span", { class: "fl-facts" }, this.clock, this.left, this.busy),
      make("span", { class: "fl-actions" }, this.explore, this.again, this.cancel));
    this.tabs = TABS.map(([name, title]) => make("button", {
      type: "button", role: "tab", class: "fl-tab", id: `${id}-tab-${name}`, "data-tab": name, "aria-controls": `${id}-${name}`, text: title,
      onclick: () => this.showTab(name), onkeydown: event => this.tabKey(event, name),
    }));
    const zoom = (title, text, step) => make("button", { type: "button", class: "fl-small", "aria-label": title, title, text, onclick: () => this.setZoom(step) });
    this.zoomer = make("span", { class: "fl-zoom", role: "group", "aria-label": "Zoom" },
      zoom("Zoom out", "−", -1), zoom("Zoom in", "+", 1), zoom("Zoom to fit", "Fit", 0));
    const strip = make("div", { class: "fl-strip" },
      make("div", { class: "fl-tabs", role: "tablist", "aria-label": "Ways to look at the run" }, ...this.tabs), this.chips, this.zoomer);
    this.svg = draw("svg", { class: "fl-edges", "aria-hidden": "true" });
    this.frames = make("div", { class: "fl-frames", "aria-hidden": "true" }); // nodes say in their names where they belong
    this.plane = make("div", { class: "fl-plane" }, this.frames, this.svg);
    this.sizer = make("div", { class: "fl-sizer" }, this.plane);
    this.canvas = make("div", { class: "fl-canvas", role: "tabpanel", id: `${id}-graph`, "aria-labelledby": `${id}-tab-graph`,
      onwheel: event => this.wheel(event), onpointerdown: event => this.grab(event) }, this.sizer);
    this.table = make("tbody");
    const titles = ["State", "Step", "Progress", "Done", "Cached", "Failed", "Time"];
    this.list = make("div", { class: "fl-list", role: "tabpanel", id: `${id}-steps`, "aria-labelledby": `${id}-tab-steps`, tabindex: "0", hidden: true },
      make("table", { class: "fl-table" }, make("thead", {}, make("tr", {}, ...titles.map((text, place) => make("th", { scope: "col", class: place > 2 ? "fl-number" : null, text })))), this.table));
    this.timeline = make("div", { class: "fl-timeline", role: "tabpanel", id: `${id}-timeline`, "aria-labelledby": `${id}-tab-timeline`, tabindex: "0", hidden: true });
    this.failures = make("ul", { class: "fl-failures", "aria-label": "First failures", hidden: true });
    this.drawer = make("section", { class: "fl-drawer", hidden: true });
    this.body = make("div", { class: "fl-body" }, strip, this.canvas, this.list, this.timeline, this.failures, this.drawer);
    this.root = make("div", {
      class: "fanlab", role: "group", "aria-label": "Pipeline run", "data-lm-suppress-shortcuts": "true",
      onkeydown: event => this.key(event),
    }, head, this.total.element, this.hint, this.live, this.body);
    this.total.element.classList.add("fl-total");
  }

  node(number, info) {
    const name = make("span", { class: "fl-node-name", dir: "auto" });
    const glyph = make("span", { class: "fl-glyph", "aria-hidden": "true" }), word = make("span", { class: "fl-node-word" });
    const time = make("span", { class: "fl-node-time" }), count = make("span", { class: "fl-node-count" }), progress = bar(), mark = make("span", { class: "fl-node-mark" });
    const button = make("button", {
      type: "button", class: "fl-node", "data-node": number, "aria-expanded": "false", title: info.name,
      tabindex: number === this.focusable ? "0" : "-1", onclick: () => this.toggle(number), onkeydown: event => this.nodeKey(event, number),
    },
      make("span", { class: "fl-node-top" }, name, mark, count), make("span", { class: "fl-node-mid" }, glyph, word, time), progress.element);
    const row = { glyph: make("span", { class: "fl-glyph", "aria-hidden": "true" }), word: make("span"), progress: bar(),
      done: make("td", { class: "fl-number" }), cached: make("td", { class: "fl-number" }), failed: make("td", { class: "fl-number" }), time: make("td", { class: "fl-number" }) };
    row.element = make("tr", {}, make("td", {}, row.glyph, row.word),
      make("th", { scope: "row" }, make("button", { type: "button", class: "fl-link", dir: "auto", text: info.name, onclick: () => this.toggle(number, true) })),
      make("td", { class: "fl-wide" }, row.progress.element), row.done, row.cached, row.failed, row.time);
    return { info, name, button, glyph, word, time, count, mark, progress, row, letter: "", shown: "", cells: "", number: {} };
  }

  // the graph: again whenever it has grown; nodes are known by their number, so that what is open stays

  setGraph() {
    const graph = this.model.get("graph");
    if (!graph.nodes) return;
    this.graph = graph;
    this.focusable = this.focusable ?? graph.order[0] ?? 0;
    const [width, height] = graph.box;
    graph.nodes.forEach((info, number) => {
      const node = this.nodes[number] ||= this.node(number, info);
      node.info = info;
      put(node.name, info.label);
      node.button.style.width = `${width}px`;
      node.button.style.height = `${height}px`;
      node.button.style.transform = `translate(${info.at[0]}px, ${info.at[1]}px)`;
    });
    const focused = this.root.contains(document.activeElement) ? document.activeElement : null;
    const inOrder = graph.order.map(number => this.nodes[number]);
    if (inOrder.some(({ button }, place) => this.plane.children[place + 2] !== button)) this.plane.append(...inOrder.map(node => node.button));
    if (inOrder.some(({ row }, place) => this.table.children[place] !== row.element)) this.table.append(...inOrder.map(node => node.row.element));
    if (focused && document.activeElement !== focused) focused.focus({ preventScroll: true });
    this.svg.setAttribute("width", graph.width);
    this.svg.setAttribute("height", graph.height);
    this.edges = graph.edges.map(([start, stop, d]) => ({ start, stop, path: draw("path", { d, class: "fl-edge" }) }));
    this.svg.replaceChildren(...this.edges.map(edge => edge.path));
    this.setFrames(graph.frames);
    this.plane.style.width = `${graph.width}px`;
    this.plane.style.height = `${graph.height}px`;
    this.fit();
    for (const node of this.nodes) node.shown = "";
    this.update();
  }

  setFrames(frames) { // of inlined pipelines, behind their nodes; one that is still there grows in place
    const before = new Map([...this.frames.children].map(frame => [frame.title, frame]));
    this.frames.replaceChildren(...frames.map(([name, x, y, width, height]) => {
      const frame = before.get(name) || make("div", { class: "fl-frame", title: name }, make("span", { class: "fl-frame-name", dir: "auto", text: name }));
      Object.assign(frame.style, { width: `${width}px`, height: `${height}px`, transform: `translate(${x}px, ${y}px)` });
      return frame;
    }));
  }
  fit() {
    if (!this.graph) return;
    const room = this.canvas.clientWidth - 32;
    const whole = room > 0 ? Math.min(1, room / this.graph.width) : 1;
    if (this.fitted && room > 0) { // still, when the graph or the page has another size
      const most = parseFloat(getComputedStyle(this.canvas).maxHeight) - 32;
      this.zoom = Math.max(0.02, Math.min(whole, most / this.graph.height));
    }
    const scale = this.zoom ?? Math.max(whole, 0.62);
    this.scale = scale;
    this.plane.style.transform = `scale(${scale})`;
    this.plane.classList.toggle("fl-tiny", scale < 0.35); // too small to read: blocks of colour
    this.sizer.style.width = `${this.graph.width * scale}px`;
    this.sizer.style.height = `${this.graph.height * scale}px`;
  }
  setZoom(step) {
    this.fitted = step === 0;
    if (!this.fitted) this.zoom = Math.min(2, Math.max(0.08, (this.scale || 1) * (step > 0 ? 1.25 : 0.8)));
    this.moved = true;
    this.fit();
  }
  wheel(event) {
    if (event.ctrlKey || event.metaKey) { event.preventDefault(); this.setZoom(event.deltaY < 0 ? 1 : -1); }
    else this.moved = true;
  }
  grab(event) { // drag the empty canvas to move it
    this.moved = true;
    if (event.button !== 0 || event.target.closest(".fl-node")) return;
    const { scrollLeft, scrollTop } = this.canvas, { clientX, clientY } = event;
    const move = now => this.canvas.scrollTo(scrollLeft + clientX - now.clientX, scrollTop + clientY - now.clientY);
    const end = () => { window.removeEventListener("pointermove", move); window.removeEventListener("pointerup", end); };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", end);
  }
  follow(node) { // bring a node that has begun into sight, unless the person looks elsewhere
    if (this.moved || !this.graph || this.canvas.hidden) return;
    const [x, y] = node.info.at.map(value => value * this.scale), [width, height] = this.graph.box.map(value => value * this.scale);
    const { scrollLeft, scrollTop, clientWidth, clientHeight } = this.canvas;
    const out = x < scrollLeft || x + width + 32 > scrollLeft + clientWidth || y < scrollTop || y + height + 32 > scrollTop + clientHeight;
    if (out) this.canvas.scrollTo({ left: x - clientWidth / 2 + width / 2, top: y - clientHeight / 2 + height / 2 });
  }

  // the state: whole each time; only what differs is touched

  update() {
    const state = this.model.get("state");
    if (!state.nodes || !this.graph) return;
    this.state = state;
    this.heard = performance.now();
    const sum = {};
    let size = 0, begun = null;
    state.nodes.forEach((row, number) => {
      const node = this.nodes[number];
      if (!node) return;
      const key = JSON.stringify(row);
      if (node.shown !== key) {
        const before = node.letter;
        this.paintNode(node, row);
        node.shown = key;
        if (node.letter === "r" && before !== "r") begun = node;
      }
      for (const letter in node.number) sum[letter] = (sum[letter] || 0) + node.number[letter];
      size += node.size ?? 1;
    });
    for (const { start, stop, path } of this.edges) {
      const from = this.nodes[start]?.letter, to = this.nodes[stop]?.letter;
      const kind = to === "r" ? "flows" : from === "f" || to === "s" ? "broken" : from && "dh".includes(from) ? "done" : "waits";
      flag(path, "class", `fl-edge fl-${kind}`);
    }
    this.sum = sum;
    this.size = size;
    this.total.set(sum, size);
    this.paintHead();
    this.paintFailures();
    this.paintDrawer();
    if (begun) this.follow(begun);
    this.root.dataset.updates = +(this.root.dataset.updates || 0) + 1;
    this.say();
  }

  paintNode(node, [size, short, begun, ended, share]) {
    const count = size === null ? { [short]: 1 } : counts(short);
    Object.assign(node, { size, cells: short, number: count, begun, ended, letter: size === null ? short : overall(count, size) });
    const done = (count.d || 0) + (count.h || 0), { letter, row } = node;
    const word = size === 0 ? "empty" : WORD[letter];
    flag(node.button, "data-state", WORD[letter]);
    flag(node.button, "data-done", done);
    node.button.dataset.size = size ?? "";
    flag(node.button, "data-glyph", GLYPH[letter]);
    put(node.glyph, GLYPH[letter]);
    put(node.word, word);
    put(node.count, node.info.mapped ? size === null ? "× ?" : `${number(done)} / ${number(size)}` : "");
    node.progress.set(count, size ?? 1, share);
    put(row.glyph, GLYPH[letter]);
    flag(row.element, "data-state", WORD[letter]);
    put(row.word, word);
    row.progress.set(count, size ?? 1, share);
    put(row.done, size === null ? "? of ?" : `${number(done)} of ${number(size)}`);
    put(row.cached, count.h ? number(count.h) : "");
    put(row.failed, count.f ? number(count.f) : "");
    const shown = !node.info.mapped ? "" : count.f ? "f" : count.h ? "h" : ""; // one, or no room is left for the name
    put(node.mark, shown === "f" ? `${GLYPH.f} ${number(count.f)}` : shown === "h" ? `${GLYPH.h} ${Math.round(100 * count.h / size)}%` : "");
    node.mark.title = shown && `${number(count[shown])} of ${number(size)} ${WORD[shown]}`;
    flag(node.mark, "data-state", WORD[shown] ?? "");
    flag(node.button, "aria-label", `${node.info.name}: ${word}${node.info.mapped && size !== null ? `, ${number(size)} branches: ${told(count) || "none"}` : ""}`);
    this.paintTime(node);
  }
  paintTime(node) {
    const spent = node.begun ? (node.ended || this.now()) - node.begun : NaN;
    const text = duration(spent);
    put(node.time, text);
    put(node.row.time, text);
  }

  now() { return this.state.ended || this.state.now + (this.phase === "ended" ? 0 : (performance.now() - this.heard) / 1000); }

  paintHead() {
    const { state, sum } = this;
    const letter = state.status === "running" ? (sum.f ? "f" : "r") : OF_WORD[state.status] || "x";
    const word = this.phase === "cancelling" ? "cancelling" : state.status;
    this.root.dataset.state = state.status;
    this.root.dataset.phase = this.phase;
    flag(this.root, "aria-label", `Run of ${state.pipeline}`);
    put(this.glyph, GLYPH[state.status === "running" ? "r" : letter]);
    put(this.title, state.pipeline);
    put(this.word, word);
    const wanted = ORDER.split("").filter(found => sum[found]);
    if (this.chips.dataset.letters !== wanted.join("")) {
      this.chips.dataset.letters = wanted.join("");
      this.chips.replaceChildren(...wanted.map(found => make("span", { class: "fl-chip", "data-state": WORD[found] },
        make("span", { class: "fl-glyph", "aria-hidden": "true", text: GLYPH[found] }), make("span", { class: "fl-count" }), make("span", { text: ` ${WORD[found]}` }))));
    }
    wanted.forEach((found, place) => put(this.chips.children[place].children[1], number(sum[found])));
    this.again.hidden = !state.failed || this.phase === "rerunning";
    this.tick();
  }

  tick() {
    if (!this.state) return;
    const { state } = this;
    put(this.clock, state.begun ? duration(this.now() - state.begun) : "");
    const over = this.phase === "ended" || state.status !== "running";
    put(this.left, over || state.left === null ? "" : roughly(Math.max(0, state.left - (performance.now() - this.heard) / 1000)));
    put(this.busy, over ? "" : state.workers ? `${Math.min(state.busy, state.workers)} of ${state.workers} workers busy` : `${state.busy} busy`);
    for (const node of this.nodes) if (node.letter === "r" && !node.ended) this.paintTime(node);
    this.tickDetail?.();
  }

  say(now) { // the live region: a change of state at once, the rest seldom
    const { state, sum } = this;
    const first = state.failed && !this.saidFailed;
    if (!now && !first && Date.now() - this.lastTold < TELL_EVERY) return;
    this.lastTold = Date.now();
    this.saidFailed ||= Boolean(state.failed);
    put(this.live, `${state.pipeline} ${this.phase === "cancelling" ? "is being cancelled" : state.status}: ${told(sum)}`);
  }

  paintFailures() {
    const { failures, failed } = this.state;
    const key = JSON.stringify([failures, failed]);
    if (this.failures.dataset.key === key) return;
    this.failures.dataset.key = key;
    this.failures.hidden = !failures.length;
    this.failures.replaceChildren(...failures.map(([node, branch, name, line]) => make("li", {},
      make("button", { type: "button", class: "fl-failure", onclick: () => this.choose(node, branch, true) },
        make("span", { class: "fl-glyph", "aria-hidden": "true", text: GLYPH.f }), make("bdi", { class: "fl-failure-name", text: name }),
        make("bdi", { class: "fl-failure-line", text: line })))));
    if (failed > failures.length) this.failures.append(make("li", { class: "fl-more", text: `and ${number(failed - failures.length)} more failed` }));
  }

  // what the kernel says of itself

  setPhase() {
    this.phase = this.model.get("phase");
    this.cancel.hidden = this.phase === "ended" || this.phase === "rerunning";
    this.cancel.disabled = this.phase === "cancelling";
    put(this.cancel, this.phase === "cancelling" ? "Cancelling…" : "Cancel");
    this.hint.hidden = true;
    this.again.disabled = this.phase === "rerunning";
    if (this.state) { this.paintHead(); this.say(true); }
  }

  askCancel() {
    this.cancel.disabled = true;
    put(this.cancel, "Cancelling…");
    this.model.send({ kind: "cancel" });
    setTimeout(() => { // no answer: this front end or kernel hears nothing while the cell runs
      if (this.phase !== "running") return;
      this.cancel.hidden = true;
      this.say_hint("The kernel cannot hear this button while the cell runs: use the notebook's stop button ■");
    }, HINT_AFTER);
  }
  askAgain() {
    const wanted = this.again.getAttribute("aria-pressed") !== "true";
    if (this.phase === "ended") {
      this.shows ||= adopt(this.model);
      this.again.disabled = true;
      put(this.again, "Starting…");
    } else {
      flag(this.again, "aria-pressed", wanted);
      put(this.again, wanted ? "Will re-run failed" : "Re-run failed");
    }
    this.model.send({ kind: "again", wanted });
    setTimeout(() => {
      if (this.phase === "ended") {
        this.again.disabled = false;
        put(this.again, "Re-run failed");
        this.say_hint("The kernel does not answer: run the cell again");
      }
    }, 2 * HINT_AFTER);
  }
  say_hint(text) { put(this.hint, text); this.hint.hidden = false; }

  // tabs, nodes and keys

  showTab(name) { this.set({ tab: name }); this.paintTabs(); this.ask(); }
  paintTabs() {
    const chosen = this.person.tab;
    for (const tab of this.tabs) {
      const on = tab.dataset.tab === chosen;
      flag(tab, "aria-selected", on);
      tab.tabIndex = on ? 0 : -1;
    }
    this.canvas.hidden = this.zoomer.hidden = chosen !== "graph";
    this.list.hidden = chosen !== "steps";
    this.timeline.hidden = chosen !== "timeline";
    if (chosen === "graph") this.fit();
  }
  tabKey(event, name) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const place = (TABS.findIndex(([tab]) => tab === name) + step + TABS.length) % TABS.length;
    this.showTab(TABS[place][0]);
    this.tabs[place].focus();
    event.preventDefault();
  }
  nodeKey(event, number) {
    const order = this.graph.order, here = order.indexOf(number);
    const { needs } = this.graph.nodes[number];
    const next = order.find(other => this.graph.nodes[other].needs.includes(number));
    const target = { ArrowDown: order[here + 1], ArrowUp: order[here - 1], ArrowRight: next ?? order[here + 1],
      ArrowLeft: needs[0] ?? order[here - 1], Home: order[0], End: order.at(-1) }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    this.nodes[this.focusable].button.tabIndex = -1;
    this.focusable = target;
    this.nodes[target].button.tabIndex = 0;
    this.nodes[target].button.focus();
    this.moved = true;
  }
  key(event) {
    if (event.key === "Escape" && this.person.open !== null) {
      const node = this.nodes[this.person.open];
      this.close();
      (this.person.tab === "graph" ? node.button : node.row.element.querySelector("button")).focus();
    }
    event.stopPropagation(); // else the notebook takes arrows and letters for commands
  }

  // the drawer: the branches of one node, and one of them

  toggle(number, keep) {
    if (this.person.open === number && !keep) return this.close();
    this.choose(number, this.nodes[number].info.mapped ? null : 0);
  }
  close() { this.set({ open: null, branch: null }); this.detail = null; this.paintDrawer(); this.ask(); }
  choose(number, branch, reveal) {
    if (this.person.open !== number || this.person.branch !== branch) this.detail = null;
    this.set({ open: number, branch });
    this.paintDrawer();
    this.ask();
    if (reveal) this.drawer.scrollIntoView?.({ block: "nearest" });
  }

  paintDrawer() {
    const { open, branch } = this.person, node = open === null ? null : this.nodes[open];
    for (const [number, other] of this.nodes.entries()) flag(other.button, "aria-expanded", number === open);
    this.drawer.hidden = !node;
    if (!node) { this.grid = null; this.drawer.replaceChildren(); this.tickDetail = null; return; }
    if (!this.grid || this.grid.node !== node) {
      this.grid = node.info.mapped ? new Grid(this, node, open) : { node };
      this.panel = make("div", { class: "fl-panel" });
      this.drawerTitle = make("bdi", { class: "fl-drawer-name", text: node.info.name });
      this.drawerCount = make("span", { class: "fl-drawer-count" });
      flag(this.drawer, "aria-label", `Branches of ${node.info.name}`);
      this.drawer.replaceChildren(
        make("div", { class: "fl-drawer-head" }, this.drawerTitle, this.drawerCount,
          make("button", { type: "button", class: "fl-small", "aria-label": "Close", title: "Close (Esc)", text: "✕", onclick: () => { this.close(); node.button.focus(); } })),
        make("div", { class: "fl-drawer-body" }, ...(this.grid.element ? [this.grid.element] : []), this.panel));
      this.panelKey = null;
      this.grid.measure?.();
    }
    put(this.drawerCount, node.info.mapped ? told(node.number) : "");
    this.grid.paint?.(node, branch);
    this.paintPanel(node, open, branch);
  }

  nameOf(node, open, branch) {
    if (!node.info.mapped) return node.info.name;
    const names = this.names[open];
    return `${node.info.name}[${names?.[branch] ?? branch}]`;
  }

  paintPanel(node, open, branch) {
    const detail = this.detail && this.detail.node === open && this.detail.branch === branch ? this.detail : null;
    const key = JSON.stringify([open, branch, detail]);
    if (this.panelKey === key) return;
    this.panelKey = key;
    this.tickDetail = null;
    if (branch === null) {
      this.panel.replaceChildren(make("p", { class: "fl-quiet", text: node.size ? "Choose a branch to see its arguments, time, log and error." : "No branches are known yet." }));
      return;
    }
    if (!detail) {
      this.panel.replaceChildren(make("h4", {}, make("bdi", { text: this.nameOf(node, open, branch) })), make("p", { class: "fl-quiet", text: "Asking the kernel…" }));
      return;
    }
    const at = this.panel.querySelector(".fl-log"), end = !at || at.scrollTop + at.clientHeight > at.scrollHeight - 8, top = at?.scrollTop;
    const inLog = at && document.activeElement === at;
    this.panel.replaceChildren(...this.panelParts(detail));
    const log = this.panel.querySelector(".fl-log");
    if (log) { log.scrollTop = end ? log.scrollHeight : top; if (inLog) log.focus({ preventScroll: true }); }
  }

  panelParts(detail) {
    const letter = OF_WORD[detail.status], parts = [];
    const time = make("dd");
    const spent = () => detail.begun ? (detail.ended && detail.status !== "running" ? detail.ended : this.now()) - detail.begun : NaN;
    this.tickDetail = () => put(time, detail.begun ? duration(spent()) : "—");
    this.tickDetail();
    parts.push(make("h4", { "data-state": detail.status },
      make("span", { class: "fl-glyph", "aria-hidden": "true", text: GLYPH[letter] }), make("bdi", { text: detail.name }), make("span", { class: "fl-state", text: detail.status })));
    const facts = [["Time", time], ["Attempts", make("dd", { text: String(detail.attempts) })]];
    if (detail.worker) facts.push(["Worker", make("dd", { text: `process ${detail.worker}` })]);
    for (const [name, value] of detail.arguments) facts.push([name, make("dd", { class: "fl-code" }, make("bdi", { text: value })), true]);
    parts.push(make("dl", { class: "fl-facts-list" }, ...facts.map(([name, value, own]) =>
      make("div", {}, make("dt", { class: own ? "fl-code" : null }, make("bdi", { text: name })), value))));
    if (detail.because) parts.push(make("p", { class: "fl-quiet" }, "Because ", make("bdi", { text: detail.because })));
    if (detail.error) parts.push(this.errorParts(detail.error));
    const { count, lines } = detail.log;
    parts.push(make("h5", { text: count ? `Log · ${number(count)} ${count === 1 ? "line" : "lines"}` : "Log" }));
    if (!count) parts.push(make("p", { class: "fl-quiet", text: "Nothing has been written." }));
    else {
      const log = make("div", { class: "fl-log fl-code", tabindex: "0", role: "region", "aria-label": `Log of ${detail.name}` });
      if (count > lines.length) log.append(make("div", { class: "fl-quiet", text: `… ${number(count - lines.length)} earlier lines` }));
      log.append(...lines.map(([stream, text]) => make("div", { class: "fl-line", "data-stream": stream, dir: "auto", text: text || " " })));
      parts.push(log);
    }
    return parts;
  }
  errorParts(error) {
    const box = make("div", { class: "fl-error" }, make("p", { class: "fl-error-line fl-code", dir: "auto", text: error.line }));
    if (error.left_out) box.append(make("p", { class: "fl-quiet", text: `${error.left_out} outer calls left out` }));
    for (const frame of error.frames) {
      box.append(make("p", { class: "fl-place" }, make("bdi", { text: frame.place }), ", in ", make("bdi", { class: "fl-code", text: frame.function })));
      box.append(make("div", { class: "fl-lines fl-code" }, ...frame.lines.map(([line, text]) => make("div", { class: line === frame.line ? "fl-line fl-here" : "fl-line" },
        make("span", { class: "fl-line-number", text: `${line === frame.line ? "→" : ""} ${line}` }), make("bdi", { text })))));
    }
    return box;
  }

  // asking for what no snapshot holds

  ask() {
    const { tab, open, branch } = this.person, node = open === null ? null : this.nodes[open];
    const wanted = { kind: "watch", timeline: tab === "timeline", branch: node && branch !== null ? [open, branch] : null,
      names: this.wantedNames(node, open) };
    const key = JSON.stringify(wanted);
    if (key === this.asked && !this.waits(wanted)) return; // else once more: the first may have come before the kernel could hear
    this.asked = key;
    this.model.send(wanted);
  }
  wantedNames(node, open) { // of the branches that can be seen, a thousand at least
    if (!node?.info.mapped || !node.size || this.names[open] === null) return null;
    const start = Math.floor((this.grid?.first || 0) / 1000) * 1000;
    return this.names[open]?.[start] === undefined ? [open, start] : null;
  }
  waits({ branch, names, timeline }) {
    const { node, branch: number } = this.detail || {};
    return names || (timeline && !this.timeline.hasChildNodes()) || (branch && (branch[0] !== node || branch[1] !== number));
  }
  hear(message) {
    if (message.kind === "branch") {
      this.detail = message;
      const { open, branch } = this.person;
      if (open === message.node && branch === message.branch) this.paintPanel(this.nodes[open], open, branch);
    } else if (message.kind === "names") {
      const names = this.names[message.node] = message.names && (this.names[message.node] || {}); // null: they are numbered
      message.names?.forEach((name, offset) => { names[message.start + offset] = name; });
      this.grid?.retitle?.();
    } else if (message.kind === "timeline") this.paintTimeline(message);
    else if (message.kind === "gone") { if (this.shows) this.remove(); else this.ranElsewhere(message.status); }
  }

  paintTimeline(message) {
    const { lanes, seconds, more } = message, height = 20, gap = 8, left = 96, width = 1000;
    const used = new Set(), parts = [];
    let y = 4, failed = false, bars = 0;
    for (const [, own] of lanes) for (const lane of own) bars += lane.length;
    lanes.forEach(([worker, own], row) => {
      const label = draw("text", { x: 0, y: y + height / 2 + 4, class: "fl-axis" }), hint = draw("title");
      label.textContent = `worker ${row + 1}`;
      hint.textContent = worker ? `process ${worker}` : label.textContent;
      label.append(hint);
      parts.push(draw("rect", { x: left, y: y - 2, width, height: own.length * (height + 2) + 2, class: "fl-lane" }), label);
      for (const lane of own) {
        const found = this.laneParts(lane, y, height, at => left + width * at / seconds, bars > MOST_BARS);
        parts.push(...found.parts);
        found.used.forEach(node => used.add(node));
        failed ||= found.failed;
        y += height + 2;
      }
      y += gap - 2;
    });
    const svg = draw("svg", { class: "fl-lanes", viewBox: `0 0 ${left + width + 8} ${y + 22}`, role: "img",
      "aria-label": `Timeline: ${lanes.length} ${lanes.length === 1 ? "worker" : "workers"} over ${duration(seconds)}` });
    const step = [-3, -2, -1, 0, 1, 2, 3, 4].flatMap(power => [1, 2, 5].map(unit => unit * 10 ** power)).find(unit => seconds / unit <= 8) || seconds;
    for (let at = 0; at <= seconds; at += step) {
      const x = left + width * at / seconds, label = draw("text", { x, y: y + 14, class: "fl-axis", "text-anchor": at ? "middle" : "start" });
      label.textContent = at ? duration(at).replace(".0 s", " s") : "0";
      svg.append(draw("line", { x1: x, x2: x, y1: 0, y2: y, class: "fl-tick" }), label);
    }
    svg.append(...parts);
    const legend = make("ul", { class: "fl-legend", "aria-label": "Steps by colour" }, ...[...used].sort((a, b) => a - b).map(number =>
      make("li", {}, make("span", { class: "fl-swatch", style: `background:${colourOf(number)}` }), make("bdi", { text: this.nodes[number]?.info.name ?? "" }))));
    if (failed) legend.append(make("li", {}, make("span", { class: "fl-swatch fl-lane-failed" }), "✗ failed"));
    this.timeline.replaceChildren(legend, svg);
    if (more) this.timeline.append(make("p", { class: "fl-quiet", text: `and ${more} more workers` }));
    if (!lanes.length) this.timeline.replaceChildren(make("p", { class: "fl-quiet", text: "Nothing has begun yet." }));
  }
  laneParts(lane, y, height, place, many) { // the bars of one lane; of very many those of one step are one path, without names
    const used = new Set(), paths = new Map(), parts = [];
    let failed = false;
    const add = (kind, x, wide, top, high) => paths.set(kind, `${paths.get(kind) || ""}M${x.toFixed(1)},${top}h${wide.toFixed(1)}v${high}h-${wide.toFixed(1)}z`);
    for (const [node, start, length, bad, count] of lane) { // red where all branches failed, underlined in red where some did
      const x = place(start), wide = Math.max(place(start + length) - x - 0.8, 0.8), name = this.nodes[node]?.info.name ?? "";
      used.add(node);
      failed ||= bad > 0;
      if (bad && bad < count) add("failed", x, wide, y + height - 5, 5);
      if (many) { add(bad === count ? "failed" : node, x, wide, y, height); continue; }
      const hint = draw("title"), told = !bad ? "" : count > 1 ? `, ${number(bad)} failed` : ", failed";
      hint.textContent = `${name}${count > 1 ? `, ${number(count)} branches` : ""}${told}: ${duration(length)}, from ${duration(start)}`;
      const bar = draw("rect", { x, y, width: wide, height, rx: Math.min(3, wide / 3), ...(bad === count ? { class: "fl-lane-failed" } : { style: `fill:${colourOf(node)}` }) });
      bar.append(hint);
      parts.push(bar);
    }
    const last = [...paths].sort(([kind], [other]) => (kind === "failed") - (other === "failed")); // red is on top
    for (const [kind, d] of last) parts.push(draw("path", { d, ...(kind === "failed" ? { class: "fl-lane-failed" } : { style: `fill:${colourOf(kind)}` }) }));
    return { used, parts, failed };
  }

  // life

  attach(element) {
    element.append(this.root);
    this.paintTabs();
    this.observer.disconnect();
    this.observer.observe(element);
    requestAnimationFrame(() => { this.area = this.root.closest(".jp-OutputArea"); this.sized(); });
  }
  sized() { this.fit(); this.grid?.measure?.(); }
  keep() { // after a failure: a bar under the record. It is no part of the output, so that the notebook saves without it
    const area = this.area;
    if (!area?.isConnected) { // it was there for less than a frame, or in a page that nobody sees
      if (!document.querySelector(".jp-NotebookPanel")) return this.remove();
      this.root.remove();
      this.unwatch ||= restore(this.model, found => this.restore(found));
      return;
    }
    this.body.hidden = this.total.element.hidden = true;
    this.explore.hidden = false;
    this.stand(area);
  }
  stand(area) { // in an output, and no part of it: gone with what the output holds, and when another view comes
    this.root.classList.add("fl-kept");
    area.append(this.root);
    this.observer.disconnect();
    this.observer.observe(this.root);
    this.gone = new MutationObserver(() => {
      const outputs = area.querySelectorAll(".jp-OutputArea-child");
      const other = [...area.querySelectorAll(".fanlab")].some(element => element !== this.root);
      if (!outputs.length || other) this.remove();
    });
    this.gone.observe(area, { childList: true, subtree: true });
  }
  restore(area) { // in a page that was loaded anew
    this.shows = isOwn(this.model);
    this.area = area;
    this.paintTabs();
    this.keep();
  }
  ranElsewhere(status) { // and the cell's output is not found in this page
    this.body.hidden = this.total.element.hidden = this.explore.hidden = true;
    this.state = { ...this.state, status, begun: 0, failed: 0, failures: [] };
    this.paintHead();
    this.again.hidden = this.cancel.hidden = true;
    this.say_hint(`It has run again: ${status}. The cell's names hold what came out; run the cell to have the record here`);
  }
  unfold() {
    const open = this.body.hidden;
    this.body.hidden = this.total.element.hidden = !open;
    flag(this.explore, "aria-expanded", open);
    put(this.explore, open ? "Fold" : "Look closer");
    if (open) { this.fit(); this.grid?.measure?.(); this.asked = null; this.ask(); }
  }
  remove() {
    clearInterval(this.timer);
    clearInterval(this.asker);
    this.observer?.disconnect();
    this.gone?.disconnect();
    this.unwatch?.();
    this.root.remove();
    this.onremove?.();
  }
}

// --- the cells of one fan-out -----------------------------------------------------------------------------------

class Grid {
  constructor(view, node, number) {
    Object.assign(this, { view, node, number, active: 0, columns: 1, drawn: new Map(), letters: "" });
    this.inner = make("div", { class: "fl-cells" });
    this.element = make("div", {
      class: "fl-grid", role: "listbox", tabindex: "0", "aria-label": `Branches of ${node.info.name}`,
      onkeydown: event => this.key(event), onclick: event => this.click(event), onscroll: () => { this.window(); view.ask(); },
    }, this.inner);
  }
  measure() {
    const columns = Math.max(1, Math.floor((this.element.clientWidth - 4) / CELL));
    if (columns !== this.columns) { this.columns = columns; this.clear(); }
    this.window();
  }
  clear() { this.drawn.clear(); this.inner.replaceChildren(); }
  paint(node, branch) {
    const now = letters(node.size === null ? "" : node.cells);
    if (branch !== null && branch !== this.chosen) this.active = branch;
    const before = this.letters;
    this.letters = now;
    if (before.length !== now.length) this.clear();
    for (const [place, cell] of this.drawn) if (before[place] !== now[place]) this.dress(cell, place);
    if (this.chosen !== branch) {
      this.drawn.get(this.chosen)?.setAttribute("aria-selected", "false");
      this.chosen = branch;
      this.drawn.get(branch)?.setAttribute("aria-selected", "true");
    }
    this.window();
  }
  window() { // draw what can be seen; of a small grid, everything
    const count = this.letters.length, rows = Math.ceil(count / this.columns);
    this.inner.style.height = `${rows * CELL}px`;
    let first = 0, last = count;
    if (count > WHOLE_GRID) {
      const top = Math.floor(this.element.scrollTop / CELL) - 4, shown = Math.ceil((this.element.clientHeight || 200) / CELL) + 8;
      first = Math.max(0, top * this.columns);
      last = Math.min(count, (top + shown) * this.columns);
      for (const [place, cell] of this.drawn) if (place < first || place >= last) { cell.remove(); this.drawn.delete(place); }
    }
    this.first = first;
    const fresh = [];
    for (let place = first; place < last; place++) if (!this.drawn.has(place)) fresh.push(this.cell(place));
    if (fresh.length) this.inner.append(...fresh);
    this.point();
  }
  cell(place) {
    const cell = make("div", { class: "fl-cell", role: "option", id: `${this.view.id}-${this.number}-${place}`, "data-branch": place,
      "aria-selected": place === this.chosen, "aria-posinset": place + 1, "aria-setsize": this.letters.length });
    cell.style.left = `${place % this.columns * CELL}px`;
    cell.style.top = `${Math.floor(place / this.columns) * CELL}px`;
    this.drawn.set(place, cell);
    this.dress(cell, place);
    return cell;
  }
  dress(cell, place) {
    const letter = this.letters[place];
    cell.dataset.state = WORD[letter];
    cell.textContent = GLYPH[letter];
    const name = `${this.view.nameOf(this.node, this.number, place)}: ${WORD[letter]}`;
    cell.title = name;
    cell.setAttribute("aria-label", name);
  }
  retitle() { for (const [place, cell] of this.drawn) this.dress(cell, place); }
  point() {
    const cell = this.drawn.get(this.active);
    if (cell) this.element.setAttribute("aria-activedescendant", cell.id); else this.element.removeAttribute("aria-activedescendant");
    for (const other of this.inner.querySelectorAll(".fl-active")) if (other !== cell) other.classList.remove("fl-active");
    cell?.classList.add("fl-active");
  }
  click(event) {
    const cell = event.target.closest(".fl-cell");
    if (!cell) return;
    this.active = +cell.dataset.branch;
    this.view.choose(this.number, this.active);
  }
  key(event) {
    const last = this.letters.length - 1;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns, PageDown: 8 * this.columns, PageUp: -8 * this.columns, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" || event.key === " ") this.view.choose(this.number, this.active);
    else if (event.key in steps) {
      this.active = Math.min(last, Math.max(0, this.active + steps[event.key]));
      const top = Math.floor(this.active / this.columns) * CELL, { scrollTop, clientHeight } = this.element;
      if (top < scrollTop) this.element.scrollTop = top;
      else if (top + CELL > scrollTop + clientHeight) this.element.scrollTop = top + CELL - clientHeight;
      this.window();
    } else return;
    event.preventDefault();
  }
}

// --- what the front end calls: once for the model, once for each place that shows it ------------------------------

const adopted = window.fanlabAdopted ||= new Set(); // requests of other pages; each widget has this file for itself
function isOwn(model) { // whether what the kernel sends for the run comes into the cell's output: this page has asked for it, or adopted it
  const { session, request } = model.get("cell");
  return Boolean(session) && (session === model.widget_manager?.kernel?.clientId || adopted.has(request));
}
function placeOf(model) { // of the run's cell in the notebook, -1 if it is not known
  const { id } = model.get("cell"), cells = model.widget_manager?.context?.model?.cells;
  return Array.from({ length: id ? cells?.length ?? 0 : 0 }, (_, place) => cells.get(place)).findIndex(cell => cell.id === id && cell.outputs);
}
const cellOf = model => placeOf(model) < 0 ? null : model.widget_manager.context.model.cells.get(placeOf(model));

const titleOf = panel => document.querySelector(`.lm-TabBar-tab[data-id="${panel.id}"]`)?.title ?? "";
function recordOf(model) { // the output with the record of a run that had ended before this page was loaded
  const { pipeline, status } = model.get("state"), path = model.widget_manager?.context?.path;
  const panels = [...document.querySelectorAll(".jp-NotebookPanel")];
  const own = panels.length === 1 ? panels[0] : panels.find(panel => path && titleOf(panel).split("\n").some(line => line === path || (line.endsWith(path) && /[\s:：]/.test(line.at(-path.length - 1)))));
  const place = placeOf(model), at = place < 0 || !own?.querySelector("[data-windowed-list-index]") ? "" : `[data-windowed-list-index="${place}"]`;
  return own && [...own.querySelectorAll(`.jp-CodeCell${at} .jp-OutputArea`)].reverse().find(area => {
    const title = area.querySelector(".jp-RenderedHTMLCommon strong");
    return title && pipeline.startsWith(title.textContent.replace(/…$/, "")) && title.nextElementSibling?.textContent.includes(status);
  });
}

function take(model, record) { // of a run that ended while no page was there
  const outputs = cellOf(model)?.outputs, output = { output_type: "display_data", data: record, metadata: {} };
  if (!outputs) return;
  const place = Array.from({ length: outputs.length }, (_, at) => outputs.get(at)).findIndex(found => "application/vnd.jupyter.widget-view+json" in found.data);
  if (place < 0) { outputs.clear(); outputs.add(output); } // of an earlier run, if there is any
  else outputs.set(place, output);
  model.send({ kind: "taken" });
}
function adopt(model) { // whether what the kernel sends for a request that is not this page's goes into the cell's output from now on
  const { request } = model.get("cell"), kernel = model.widget_manager?.kernel, cell = cellOf(model);
  if (!cell || !kernel?.iopubMessage) return false;
  const { outputs, executionCount } = cell, places = new Map(); // of displays, among the outputs
  const hear = (_, { parent_header, header, content }) => {
    if (cell.isDisposed || cell.executionCount !== executionCount) return void kernel.iopubMessage.disconnect(hear); // it has run since
    if (parent_header.msg_id !== request) return;
    const { transient, ...output } = content, display = transient?.display_id, kind = header.msg_type;
    if (kind === "clear_output") { outputs.clear(content.wait); places.clear(); }
    else if (kind === "update_display_data" && places.has(display)) outputs.set(places.get(display), { output_type: "display_data", ...output });
    else if (["display_data", "execute_result", "stream", "error"].includes(kind)) places.set(display, outputs.add({ output_type: kind, ...output }) - 1);
  };
  kernel.iopubMessage.connect(hear);
  adopted.add(request);
  return true;
}

function restore(model, show) { // wait for the record: outputs come into the page late, and some only when they are scrolled to
  let frame = 0;
  const look = () => {
    frame = 0;
    const area = model.get("phase") === "ended" ? recordOf(model) : null;
    if (area && !area.querySelector(".fanlab")) { watch.disconnect(); show(area); }
  };
  const watch = new MutationObserver(() => { frame ||= requestAnimationFrame(look); });
  watch.observe(document.body, { childList: true, subtree: true });
  look();
  return () => watch.disconnect();
}

export default () => {
  const views = new Set();
  return {
    initialize({ model }) {
      let frame = 0;
      const each = what => { for (const view of [...views]) what(view); };
      model.on("change:graph", () => each(view => view.setGraph()));
      model.on("change:state", () => { frame ||= requestAnimationFrame(() => { frame = 0; each(view => view.update()); }); });
      model.on("change:phase", () => {
        each(view => { view.update(); view.setPhase(); });
        if (model.get("phase") === "ended" && isOwn(model)) model.send({ kind: "taken" });
      });
      model.on("msg:custom", message => {
        if (message.kind !== "record") each(view => view.hear(message));
        else if (!isOwn(model)) take(model, message.record);
      });
      if (model.get("phase") === "ended") {
        model.send({ kind: isOwn(model) ? "taken" : "record" });
        return model.get("state").failed && restore(model, area => {
          const view = new View(model);
          views.add(view);
          view.onremove = () => views.delete(view);
          view.restore(area);
        });
      }
    },
    render({ model, el }) {
      const view = new View(model);
      views.add(view);
      view.onremove = () => views.delete(view);
      view.attach(el);
      return () => (model.get("phase") === "ended" && model.get("state").failed ? view.keep() : view.remove());
    },
  };
};
