/* Draws the report's plots from the JSON in #data. When all are drawn, <html> carries data-ready, with the counts
   data-drawn and data-failed, the errors seen in data-errors and the 3D canvases in data-canvases. */
(() => {
  "use strict";
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("data").textContent);
  const errors = [];
  const report = (text) => { errors.push(String(text)); root.dataset.errors = errors.join(" | "); };
  addEventListener("error", (event) => report(event.message));
  addEventListener("unhandledrejection", (event) => report(event.reason));
  document.addEventListener("securitypolicyviolation", (event) => report(`${event.violatedDirective} ${event.blockedURI}`));

  const find = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const plotElement = (kind) => find(`.plot[data-plot="${kind}"]`);

  /* ---- colours, from the style sheet, so that light and dark are decided in one place ---- */
  const probe = document.body.appendChild(document.createElement("span"));
  probe.hidden = true;
  const colour = (name) => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color; };
  const known = new Set(["scratch", "distilled", "permuted", "point_mae"]);
  const others = []; /* initialisations that the style sheet does not know, in the order in which they are met */
  const hues = [[46, 160, 103], [214, 72, 84], [45, 182, 200], [226, 112, 178], [158, 112, 84], [188, 178, 40], [120, 200, 120], [110, 70, 30]];
  const initColour = (init) => {
    if (known.has(init)) return colour(init);
    if (!others.includes(init)) others.push(init);
    return rgb(...hues[others.indexOf(init) % hues.length]);
  };
  const dashes = { scratch: "dot", permuted: "dash", point_mae: "dashdot" };

  /* ---- packed arrays ---- */
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const points = ({ lower, step, values }) => {
    const raw = new Uint16Array(bytes(values).buffer);
    const count = raw.length / 3;
    return [0, 1, 2].map((axis) => Float32Array.from({ length: count }, (_, i) => lower[axis] + step[axis] * raw[3 * i + axis]));
  };
  const rgb = (r, g, b) => `rgb(${r},${g},${b})`;
  /* plotly reads tags in names and labels, links among them: text out of data has none. */
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const pick = (array, indices) => indices.map((index) => array[index]);

  /* ---- flat charts ---- */
  const flatLayout = (more) => ({
    margin: { l: 46, r: 14, t: 12, b: 36 }, showlegend: false, paper_bgcolor: "transparent", plot_bgcolor: "transparent",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("quiet") },
    hoverlabel: { bgcolor: colour("surface"), bordercolor: colour("line"), font: { color: colour("ink") } },
    ...more,
  });
  const axis = (more) => ({ gridcolor: colour("grid"), linecolor: colour("line"), zeroline: false, automargin: true, ...more });
  const flatConfig = { responsive: true, displayModeBar: false };
  const heading = (text) => ({ text: plain(text), standoff: 6, font: { size: 12 } });

  function drawBars(element, spec) {
    const traces = [];
    const named = new Set();
    spec.groups.forEach((group, at) => {
      const width = Math.min(0.24, 0.8 / group.bars.length);
      group.bars.forEach((bar, index) => {
        const name = plain(bar.name);
        const x = at + (index - (group.bars.length - 1) / 2) * width;
        const ink = initColour(bar.init);
        const spread = bar.std === null ? "one seed" : `± ${bar.std.toFixed(2)}`;
        traces.push({
          type: "scatter", mode: "markers", x: bar.figures.map(() => x + width * 0.34), y: bar.figures, name, cliponaxis: false, showlegend: false, legendgroup: bar.init,
          marker: { size: 5, color: ink, opacity: 0.5 }, hovertemplate: `${name}<br>%{y:.2f}<extra></extra>`,
        }, {
          type: "scatter", mode: "markers", x: [x], y: [bar.mean], name, cliponaxis: false, showlegend: !named.has(bar.init), legendgroup: bar.init,
          marker: { size: 10, color: ink, symbol: bar.init === "scratch" ? "diamond" : "circle", line: { width: 1.5, color: colour("surface") } },
          error_y: { type: "data", array: [bar.std ?? 0], visible: bar.std !== null, color: ink, thickness: 2, width: 5 },
          hovertemplate: `${name}: mean %{y:.2f}<br>${spread}<extra></extra>`,
        });
        named.add(bar.init);
      });
    });
    const rows = Math.max(1, ...spec.groups.map((group) => group.label.split("<br>").length));
    const last = spec.groups.length - 0.5;
    const floor = spec.no_learning;
    const shapes = floor === null ? [] : [{
      type: "line", x0: -0.5, x1: spec.tuned - 0.5, y0: floor, y1: floor, line: { dash: "dot", width: 2, color: colour("quiet") },
    }];
    if (floor !== null) {
      traces.push({ type: "scatter", mode: "markers", x: [0], y: [floor], marker: { size: 10, opacity: 0 }, hovertemplate: "without learning: %{y:.2f}<extra></extra>" });
    }
    const layout = flatLayout({
      shapes, margin: { l: 30, r: 6, t: 10, b: 12 + 14 * rows }, showlegend: Boolean(spec.legend),
      legend: { orientation: "h", x: 0, y: -0.2, yanchor: "top", font: { size: 12, color: colour("ink") } },
      xaxis: axis({ tickvals: spec.groups.map((_, at) => at), ticktext: spec.groups.map((group) => group.label), range: [-0.5, last], tickangle: 0, showgrid: false, fixedrange: true }),
      yaxis: axis({ fixedrange: true, nticks: 6 }),
    });
    return Plotly.react(element, traces, layout, flatConfig);
  }

  function drawLines(element, spec) {
    const traces = spec.series.map((series) => ({
      type: "scatter", mode: series.x.length < 30 && !series.thin ? "lines+markers" : "lines", x: series.x, y: series.y, name: plain(series.name),
      opacity: series.thin ? 0.35 : 1, marker: { size: 5 },
      line: { color: initColour(series.init), width: series.thin ? 1.2 : 2.4, dash: series.thin ? "solid" : dashes[series.init] ?? "solid" },
      hovertemplate: `${plain(series.name)}<br>step %{x:,}: %{y:.4g}<extra></extra>`,
    }));
    const layout = flatLayout({
      margin: { l: 52, r: 16, t: 14, b: 44 }, hovermode: "closest",
      xaxis: axis({ title: heading(spec.x), rangemode: "tozero", nticks: 7 }), yaxis: axis({ title: heading(spec.y), nticks: 6 }),
    });
    return Plotly.react(element, traces, layout, flatConfig);
  }

  /* ---- clouds ---- */
  const spatialConfig = {
    responsive: true, displaylogo: false, scrollZoom: true,
    modeBarButtons: [["orbitRotation", "pan3d", "resetCameraDefault3d"]],
  };
  const bare = { visible: false, showspikes: false };
  const spatialLayout = (revision, eye, more) => ({
    margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: "transparent", uirevision: revision,
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("ink") },
    legend: { x: 0.01, y: 0.99, bgcolor: "transparent", itemsizing: "constant", font: { size: 12 } },
    modebar: { bgcolor: "transparent", color: colour("quiet"), activecolor: colour("accent") },
    scene: { xaxis: bare, yaxis: bare, zaxis: bare, aspectmode: "data", dragmode: "orbit", camera: { eye, center: { x: 0, y: 0, z: -0.14 } } },
    ...more,
  });
  const cloudTrace = ([x, y, z], marker, more) => ({ type: "scatter3d", mode: "markers", x, y, z, hoverinfo: "skip", marker: { line: { width: 0 }, ...marker }, ...more });

  function drawPipeline(element, entry) {
    const [x, y, z] = points(entry.cloud);
    const patches = new Uint32Array(bytes(entry.patches).buffer);
    const members = [...patches];
    const hues = members.map((_, index) => `hsl(${(Math.floor(index / entry.size) * 137.508) % 360},62%,54%)`);
    const traces = [
      cloudTrace([x, y, z], { size: 1.5, color: colour("quiet"), opacity: 0.6 }, { name: "points" }),
      cloudTrace([pick(x, members), pick(y, members), pick(z, members)], { size: 2.1, color: hues }, { name: "patches" }),
      cloudTrace([0, 1, 2].map((at) => entry.centres.map((centre) => centre[at])), { size: 2.8, color: colour("ink") }, { name: "patch centres" }),
    ];
    for (const field of ["colour", "depth", "teacher_prefix", "student_prefix"]) {
      const image = find(`#pipeline img[data-field="${field}"]`);
      if (image) { image.hidden = !entry[field]; if (entry[field]) image.src = entry[field]; }
    }
    find('#pipeline img[data-field="colour"]').alt = `Colour frame: ${entry.truth}`;
    find('#pipeline [data-field="truth"]').textContent = entry.truth;
    for (const who of ["teacher", "student"]) showCaption(find(`#pipeline blockquote[data-field="${who}"]`), entry[who], entry.truth);
    return Plotly.react(element, traces, spatialLayout(entry.title, { x: 0.3, y: -1.3, z: 0.45 }, { legend: { orientation: "h", x: 0.02, y: 0.02, yanchor: "bottom", bgcolor: "transparent", itemsizing: "constant", font: { size: 11 } } }), spatialConfig);
  }

  const small = new Set(["with", "and", "the", "there", "are", "that", "this", "its", "near", "next", "from", "some"]);
  const words = (text) => text.toLowerCase().match(/[\p{L}\d]+/gu) ?? [];
  function showCaption(element, text, truth) {
    const wanted = new Set(words(truth).filter((word) => word.length > 2 && !small.has(word)));
    const line = document.createElement("span");
    for (const piece of text.split(/([\p{L}\d]+)/u)) {
      if (wanted.has(piece.toLowerCase())) line.appendChild(document.createElement("mark")).textContent = piece;
      else line.append(piece);
    }
    element.replaceChildren(line);
  }

  const edges = [[0, 1], [1, 3], [3, 2], [2, 0], [4, 5], [5, 7], [7, 6], [6, 4], [0, 4], [1, 5], [2, 6], [3, 7]];
  function boxTraces(boxes, texts, name, ink, width) {
    const [x, y, z] = [[], [], []];
    for (const box of boxes) {
      const [cos, sin] = [Math.cos(box[6]), Math.sin(box[6])];
      const corner = (index) => {
        const [along, across, up] = [0, 1, 2].map((at) => (((index >> at) & 1) - 0.5) * box[at + 3]);
        return [box[0] + cos * along - sin * across, box[1] + sin * along + cos * across, box[2] + up];
      };
      for (const [from, to] of edges) {
        const [a, b] = [corner(from), corner(to)];
        x.push(a[0], b[0], null); y.push(a[1], b[1], null); z.push(a[2], b[2], null);
      }
    }
    const top = (at) => boxes.map((box) => box[at] + (at === 2 ? box[5] / 2 : 0));
    return [
      { type: "scatter3d", mode: "lines", x, y, z, name, legendgroup: name, hoverinfo: "skip", line: { color: ink, width } },
      { type: "scatter3d", mode: "text", x: top(0), y: top(1), z: top(2), text: texts, name, legendgroup: name, showlegend: false, textposition: "top center", textfont: { color: ink, size: 13, weight: 700 }, hoverinfo: "skip" },
    ];
  }

  const state = { pipeline: 0, detection: 0, labelled: 0, attention: 0, concept: 0, sampling: 0, colouring: "predicted", score: 0, cut: { detection: 1, labelled: 1 } };

  /* Indices of the points under the height that the section's slider sets; ceilings would hide the room. */
  function below(kind, { lower, step }, z) {
    const height = step[2] * 65535 * state.cut[kind];
    find(`#${kind}-cut-value`).textContent = `${height.toFixed(1)} m`;
    return [...z.keys()].filter((index) => z[index] <= lower[2] + height);
  }

  function drawDetection(element, entry) {
    const [x, y, z] = points(entry.cloud);
    const paint = bytes(entry.colours);
    const kept = below("detection", entry.cloud, z);
    const shades = kept.map((index) => rgb(paint[3 * index], paint[3 * index + 1], paint[3 * index + 2]));
    const { predicted } = entry;
    const shown = [...predicted.scores.keys()].filter((index) => predicted.scores[index] >= state.score);
    const hits = shown.filter((index) => predicted.found[index]);
    const misses = shown.filter((index) => !predicted.found[index]);
    const texts = (indices) => indices.map((index) => predicted.names[index]);
    const traces = [
      cloudTrace([pick(x, kept), pick(y, kept), pick(z, kept)], { size: 2, color: shades }, { name: "points" }),
      ...boxTraces(entry.true.boxes, entry.true.names, "true boxes", colour("true"), 4),
      ...boxTraces(pick(predicted.boxes, hits), [], "predicted, match", colour(data.ink?.hit ?? "hit"), 5), // named by the true box beside
      ...boxTraces(pick(predicted.boxes, misses), texts(misses), "predicted, no match", colour("miss"), 4),
    ];
    find("#score-value").textContent = state.score.toFixed(2);
    find("#found").textContent = `${entry.true.boxes.length} true boxes, ${shown.length} predictions shown, ${hits.length} of them match a true box of their class.`;
    find("#boxes").replaceChildren(...shown.map((index) => boxRow(predicted, index)));
    return Plotly.react(element, traces, spatialLayout(entry.title, { x: 1.05, y: -1.2, z: 1.25 }, { showlegend: true }), spatialConfig);
  }

  function boxRow(predicted, index) {
    const row = document.createElement("tr");
    const cell = (text, name = "td", style = "number") => { const made = row.appendChild(document.createElement(name)); made.textContent = text; made.className = style; return made; };
    cell(predicted.names[index], "th", "").scope = "row";
    cell(predicted.scores[index].toFixed(2));
    cell(predicted.overlap[index].toFixed(2));
    cell(predicted.found[index] ? "match" : "no match", "td", predicted.found[index] ? "hit" : "miss");
    return row;
  }

  function drawLabelled(element, entry) {
    const [x, y, z] = points(entry.cloud);
    const [truth, predicted] = [bytes(entry.truth), bytes(entry.predicted)];
    const groups = new Map();
    const put = (key, index) => { if (!groups.has(key)) groups.set(key, []); groups.get(key).push(index); };
    const none = 255;
    const slider = find("#labelled-cut").closest("label");
    slider.hidden = entry.kind === "parts";
    for (const index of slider.hidden ? z.keys() : below("labelled", entry.cloud, z)) {
      if (state.colouring === "errors") put(truth[index] === none ? none : truth[index] === predicted[index] ? "right" : "wrong", index);
      else put((state.colouring === "truth" ? truth : predicted)[index], index);
    }
    const look = (key) => {
      if (key === "right") return ["right", colour("right")];
      if (key === "wrong") return ["wrong", colour("miss")];
      if (key === none) return ["no label", colour("line")];
      return [plain(entry.names[key]), rgb(...entry.colours[key])];
    };
    const keys = [...groups.keys()].sort((a, b) => (typeof a === "number" ? a - b : a < b ? -1 : 1));
    const traces = keys.map((key) => {
      const [name, ink] = look(key);
      return cloudTrace([x, y, z].map((values) => pick(values, groups.get(key))), { size: entry.kind === "parts" ? 3.4 : 2.3, color: ink }, { name, showlegend: true });
    });
    find("#right").textContent = entry.right === null ? "" : `${(100 * entry.right).toFixed(0)} % of the labelled points of this example are right.`;
    return Plotly.react(element, traces, spatialLayout(`${entry.title} ${entry.kind}`, { x: 1.05, y: -1.2, z: 1.1 }, { showlegend: true }), spatialConfig);
  }

  /* ---- controls ---- */
  const tools = { state, find, bytes, points, pick, plain, colour, initColour, flatLayout, axis, flatConfig, heading, spatialLayout, spatialConfig, cloudTrace };
  const analyses = drawAnalyses(tools);
  const redraw = {
    pipeline: () => drawPipeline(plotElement("pipeline"), data.pipeline[state.pipeline]),
    detection: () => drawDetection(plotElement("detection"), data.detection[state.detection]),
    labelled: () => drawLabelled(plotElement("labelled"), data.labelled[state.labelled]),
    attention: () => analyses.spatial.attention(plotElement("attention"), data.attention[state.attention]),
    sampling: () => analyses.spatial.sampling(plotElement("sampling"), data.sampling[state.sampling]),
  };

  function connectPicker(picker) {
    const kind = picker.dataset.for;
    const draws = picker.dataset.draws ?? kind;
    const select = find("select", picker);
    const choose = (index) => { state[kind] = (index + select.options.length) % select.options.length; select.value = state[kind]; redraw[draws](); };
    select.addEventListener("change", () => choose(Number(select.value)));
    for (const button of all("button", picker)) button.addEventListener("click", () => choose(state[kind] + Number(button.dataset.step)));
  }

  /* Arrow keys turn a cloud, plus and minus zoom; the wheel scrolls the page until the cloud has been clicked. */
  function connectSpatial(element) {
    let active = false;
    element.addEventListener("pointerdown", () => { active = true; });
    element.addEventListener("pointerleave", () => { active = false; });
    element.addEventListener("wheel", (event) => { if (!active) event.stopPropagation(); }, { capture: true });
    const turn = { ArrowLeft: -0.15, ArrowRight: 0.15 };
    const tilt = { ArrowUp: 0.1, ArrowDown: -0.1 };
    const zoom = { "+": 0.9, "=": 0.9, "-": 1.1 };
    element.addEventListener("keydown", (event) => {
      const { key } = event;
      if (!(key in turn || key in tilt || key in zoom)) return;
      event.preventDefault();
      const camera = element.layout.scene.camera;
      const { x, y, z } = camera.eye;
      const flat = Math.hypot(x, y);
      const radius = Math.hypot(flat, z) * (zoom[key] ?? 1);
      const around = Math.atan2(y, x) + (turn[key] ?? 0);
      const up = Math.min(1.5, Math.max(-1.5, Math.atan2(z, flat) + (tilt[key] ?? 0)));
      const eye = { x: radius * Math.cos(up) * Math.cos(around), y: radius * Math.cos(up) * Math.sin(around), z: radius * Math.sin(up) };
      Plotly.relayout(element, { "scene.camera": { ...camera, eye } });
    });
  }

  function startDetection() {
    if (!data.detection.length) return;
    const wanted = data.detection.reduce((sum, entry) => sum + entry.true.boxes.length, 0);
    const scores = data.detection.flatMap((entry) => entry.predicted.scores).sort((a, b) => b - a);
    state.score = Math.floor(100 * (scores[Math.min(wanted, scores.length) - 1] ?? 0)) / 100;
    connectSlider("score", state, "score", "detection");
  }

  function startCut(kind) {
    const scenes = data[kind].filter((entry) => entry.kind !== "parts");
    if (!data[kind].length) return;
    const extent = Math.max(0, ...scenes.map((entry) => entry.cloud.step[2] * 65535));
    state.cut[kind] = extent > 2.1 ? 0.8 : 1;
    connectSlider(`${kind}-cut`, state.cut, kind, kind);
  }

  function connectSlider(name, holder, key, kind) {
    const slider = find(`#${name}`);
    slider.value = holder[key];
    slider.addEventListener("input", () => { holder[key] = Number(slider.value); redraw[kind](); });
  }

  function connectTheme() {
    const button = find("#theme");
    const themes = ["auto", "light", "dark"];
    let current = 0;
    button.hidden = false;
    button.addEventListener("click", () => {
      current = (current + 1) % themes.length;
      if (current) root.dataset.theme = themes[current]; else delete root.dataset.theme;
      button.textContent = `Theme: ${themes[current]}`;
      drawAll();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  }

  /* ---- everything ---- */
  const jobs = [
    ...all('.plot[data-plot="bars"]').map((element) => [element, () => drawBars(element, data.bars[element.dataset.index])]),
    ...["pretraining", "finetuning"].flatMap((kind) => all(`.plot[data-plot="${kind}"]`).map((element) => [element, () => drawLines(element, data[kind][element.dataset.index])])),
    ...Object.entries(analyses.flat).flatMap(([kind, draw]) => all(`.plot[data-plot="${kind}"]`).map((element) => [element, () => draw(element, data[kind][element.dataset.index])])),
    ...Object.keys(redraw).filter((kind) => data[kind].length).map((kind) => [plotElement(kind), redraw[kind]]),
  ];

  async function drawAll() {
    let [drawn, failed] = [0, 0];
    for (const [element, draw] of jobs) {
      try { await draw(); drawn += 1; } catch (problem) {
        failed += 1;
        report(problem);
        const note = element.appendChild(document.createElement("p"));
        note.className = "failed";
        note.textContent = "This plot could not be drawn here. 3D plots need WebGL.";
      }
    }
    root.dataset.drawn = drawn;
    root.dataset.failed = failed;
    root.dataset.canvases = all(".gl-container canvas").length;
    root.dataset.ready = "yes";
  }

  startDetection();
  ["detection", "labelled"].forEach(startCut);
  all(".picker").forEach(connectPicker);
  all('input[name="colouring"]').forEach((radio) => radio.addEventListener("change", () => { state.colouring = radio.value; redraw.labelled(); }));
  all(".plot[tabindex]").forEach(connectSpatial);
  connectTheme();
  drawAll();
})();
