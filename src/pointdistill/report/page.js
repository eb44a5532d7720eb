/* Wires the page: pictures in 3D from the JSON in #data, legends that hide series, values under the pointer. When all is
   drawn, <html> carries data-ready, with the counts data-drawn and data-failed, the errors seen in data-errors and the
   number of WebGL contexts in data-contexts. */
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
  const { bytesOf, cloudOf } = spatial;
  const numbers = (text) => new Uint32Array(bytesOf(text).buffer);
  const element = (name, text, style) => { const made = document.createElement(name); if (text !== undefined) made.textContent = text; if (style) made.className = style; return made; };
  const number = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));

  /* ---- colours, from the style sheet, so that light and dark are decided in one place ---- */
  const probe = document.body.appendChild(document.createElement("span"));
  probe.hidden = true;
  const shade = (name) => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color; };
  const ink = (name) => (shade(name).match(/[\d.]+/g) ?? [128, 128, 128]).slice(0, 3).map(Number);
  const SCALE = [[68, 1, 84], [72, 40, 120], [62, 73, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37]];
  const onScale = (value) => {
    const place = Math.min(0.9999, Math.max(0, value)) * (SCALE.length - 1);
    const at = Math.floor(place);
    return [0, 1, 2].map((axis) => SCALE[at][axis] + (SCALE[at + 1][axis] - SCALE[at][axis]) * (place - at));
  };
  /* RGBA bytes for a cloud: `paint` gives a point's colour, or null where it is hidden. */
  function inked(count, paint) {
    const made = new Uint8Array(4 * count);
    for (let index = 0; index < count; index += 1) {
      const colour = paint(index);
      if (colour) made.set([colour[0], colour[1], colour[2], 255], 4 * index);
    }
    return made;
  }
  const size = (cloud) => cloud.raw.length / 3;
  const byHeight = (cloud) => (index) => onScale(cloud.raw[3 * index + 2] / 65535);

  /* ---- the frame on its way through the method ---- */
  function drawPipeline(view, entry) {
    for (const field of ["colour", "depth", "teacher_prefix", "student_prefix"]) {
      const image = find(`#pipeline img[data-field="${field}"]`);
      if (image) { image.hidden = !entry[field]; if (entry[field]) image.src = entry[field]; }
    }
    find('#pipeline img[data-field="colour"]').alt = `Colour frame: ${entry.truth}`;
    find('#pipeline [data-field="truth"]').textContent = entry.truth;
    for (const who of ["teacher", "student"]) showCaption(find(`#pipeline blockquote[data-field="${who}"]`), entry[who], entry.truth);
    const cloud = cloudOf(entry.cloud);
    const [free, owner] = [ink("quiet"), new Int32Array(size(cloud)).fill(-1)];
    numbers(entry.patches).forEach((point, at) => { owner[point] = Math.floor(at / entry.size); });
    view.show([{ cloud, ink: inked(size(cloud), (index) => (owner[index] < 0 ? free : hue(owner[index]))) }]);
  }
  function hue(index) {
    const [h, s, l] = [((index * 137.508) % 360) / 30, 0.62, 0.54];
    const channel = (n) => { const k = (n + h) % 12; return 255 * (l - s * Math.min(l, 1 - l) * Math.max(-1, Math.min(k - 3, 9 - k, 1))); };
    return [channel(0), channel(8), channel(4)];
  }
  const small = new Set(["with", "and", "the", "there", "are", "that", "this", "its", "near", "next", "from", "some"]);
  const words = (text) => text.toLowerCase().match(/[\p{L}\d]+/gu) ?? [];
  function showCaption(place, text, truth) {
    const wanted = new Set(words(truth).filter((word) => word.length > 2 && !small.has(word)));
    const line = element("span");
    for (const piece of text.split(/([\p{L}\d]+)/u)) {
      if (wanted.has(piece.toLowerCase())) line.append(element("mark", piece)); else line.append(piece);
    }
    place.replaceChildren(line);
  }

  /* ---- scenes: boxes and labels, true and predicted ---- */
  const NONE = 255;
  const scenes = { at: 0, colouring: null, run: 0, beside: false, score: 0, hidden: new Map(), layers: { true: true, hit: true, miss: true }, entry: null, labels: new WeakMap() };
  const labelsOf = (owner, field) => {
    if (!scenes.labels.has(owner)) scenes.labels.set(owner, {});
    const known = scenes.labels.get(owner);
    return (known[field] ??= owner[field] === null || owner[field] === undefined ? null : bytesOf(owner[field]));
  };
  const hiddenOf = (entry) => {
    const key = entry.names.join("\n");
    if (!scenes.hidden.has(key)) scenes.hidden.set(key, new Set());
    return scenes.hidden.get(key);
  };
  const COLOURINGS = [["colour", (entry) => entry.colours], ["truth", (entry) => entry.truth], ["predicted", (entry) => entry.truth && entry.runs.length], ["errors", (entry) => entry.truth && entry.runs.length], ["height", () => true]];

  function drawScenes(view, entry) {
    const fresh = scenes.entry !== entry;
    scenes.entry = entry;
    const possible = COLOURINGS.filter(([, has]) => has(entry)).map(([name]) => name);
    if (!possible.includes(scenes.colouring)) scenes.colouring = entry.truth ? "predicted" : possible[0];
    for (const radio of all('#scenes input[name="colouring"]')) {
      radio.closest("label").hidden = !possible.includes(radio.value);
      radio.checked = radio.value === scenes.colouring;
    }
    const boxes = entry.runs.some((run) => run.boxes);
    all("#scenes [data-only]").forEach((part) => { part.hidden = (part.dataset.only === "boxes") !== boxes; });
    find("#scenes-cut").closest("label").hidden = entry.kind === "parts";
    view.cut = entry.kind === "parts" ? Infinity : Number(find("#scenes-cut").value);
    find("#scenes-cut-value").textContent = `${(view.cut * entry.cloud.step[2] * 65535).toFixed(1)} m`;
    find("#score-value").textContent = scenes.score.toFixed(2);
    if (fresh) fillRuns(entry);
    const chosen = scenes.run < 0 ? entry.runs : [entry.runs[Math.min(scenes.run, entry.runs.length - 1)]].filter(Boolean);
    const panels = chosen.map((run) => scenePanel(entry, run, chosen.length > 1 || scenes.beside ? run.name : ""));
    if (scenes.beside || !chosen.length) panels.unshift(scenePanel(entry, null, "truth"));
    view.onpick = (found) => sayPoint(entry, chosen[0], found);
    view.show(panels);
    find("#picked").textContent = "";
    sayScene(entry, chosen[0]);
    fillClasses(entry, chosen[0]);
    find("#boxes").replaceChildren(...(chosen[0]?.boxes ? shownBoxes(entry, chosen[0]).map((index) => boxRow(chosen[0].boxes, index)) : []));
  }

  function scenePanel(entry, run, title) {
    const cloud = cloudOf(entry.cloud);
    const [truth, predicted] = [labelsOf(entry, "truth"), run ? labelsOf(run, "labels") : null];
    const hidden = hiddenOf(entry);
    const [none, right, wrong] = [ink("line"), ink("right"), ink("miss")];
    const colours = labelsOf(entry, "colours");
    const of = (label) => (label === NONE ? none : entry.palette[label]);
    const shown = run === null && (scenes.colouring === "predicted" || scenes.colouring === "errors") ? "truth" : scenes.colouring;
    const visible = (index) => {
      if (!truth) return true;
      const label = shown === "predicted" ? predicted[index] : truth[index];
      return label === NONE || !hidden.has(entry.names[label]);
    };
    const height = byHeight(cloud);
    const paint = {
      colour: (index) => [colours[3 * index], colours[3 * index + 1], colours[3 * index + 2]],
      truth: (index) => of(truth[index]),
      predicted: (index) => of(predicted[index]),
      errors: (index) => (truth[index] === NONE ? none : truth[index] === predicted[index] ? right : wrong),
      height,
    }[shown] ?? height;
    return { cloud, ink: inked(size(cloud), (index) => (visible(index) ? paint(index) : null)), boxes: sceneBoxes(entry, run), title };
  }

  function sceneBoxes(entry, run) {
    const made = [];
    const hidden = hiddenOf(entry);
    const put = (box, kind, dash, name) => made.push({ box, ink: ink(kind).map((value) => value / 255), dash, name, shade: shade(kind) });
    if (entry.true && scenes.layers.true) entry.true.boxes.forEach((box, index) => { if (!hidden.has(entry.true.names[index])) put(box, "true", 0, entry.true.names[index]); });
    if (run?.boxes) {
      const shown = shownBoxes(entry, run);
      const named = new Set(shown.slice(0, 30)); /* more names than that would hide the picture */
      for (const index of shown) {
        const hit = run.boxes.found[index];
        if (scenes.layers[hit ? "hit" : "miss"]) put(run.boxes.boxes[index], hit ? "hit" : "miss", hit ? 0.12 : 0.05, (hit && scenes.layers.true) || !named.has(index) ? "" : run.boxes.names[index]);
      }
    }
    return made;
  }
  const shownBoxes = (entry, run) => [...run.boxes.scores.keys()].filter((index) => run.boxes.scores[index] >= scenes.score && !hiddenOf(entry).has(run.boxes.names[index]));

  function boxRow(boxes, index) {
    const row = element("tr");
    const name = row.appendChild(element("th", boxes.names[index]));
    name.scope = "row";
    row.append(element("td", number(boxes.scores[index]), "number"), element("td", number(boxes.overlap[index]), "number"));
    row.append(element("td", boxes.found[index] ? "match" : "no match", boxes.found[index] ? "hit" : "miss"));
    return row;
  }

  function sayScene(entry, run) {
    const said = [];
    if (entry.true) {
      const shown = run?.boxes ? shownBoxes(entry, run) : [];
      const hits = shown.filter((index) => run.boxes.found[index]).length;
      said.push(`${entry.true.boxes.length} true boxes`, `${shown.length} predictions shown, ${hits} of them match a true box of their class.`);
    } else if (run && run.right !== null) said.push(`${(100 * run.right).toFixed(0)} % of the labelled points of this example are right.`);
    find("#found").textContent = [run && entry.runs.length > 1 ? `${run.name}: ` : "", said.join(", ")].join("");
  }

  function sayPoint(entry, run, found) {
    const cloud = cloudOf(entry.cloud);
    const place = find("#picked");
    if (!found) { place.textContent = ""; return; }
    const label = (owner, field) => { const kind = labelsOf(owner, field)?.[found.point]; return kind === undefined ? null : kind === NONE ? "no label" : entry.names[kind]; };
    const said = [[0, 1, 2].map((axis) => (cloud.lower[axis] + (cloud.extent[axis] * cloud.raw[3 * found.point + axis]) / 65535).toFixed(2)).join(", ")];
    if (entry.truth) said.push(`true ${label(entry, "truth")}`);
    if (run && run.labels) said.push(`predicted ${label(run, "labels")}`);
    place.textContent = `Point at ${said.join("; ")}`;
  }

  /* A row a class: shown or not, how often it is there, what was found of it, and the figures over the whole split. */
  function fillClasses(entry, run) {
    const split = data.figures?.[entry.kind] ?? { columns: [], rows: {} };
    const counted = entry.true ? ["true", "shown", "match"] : ["points", "IoU here"];
    const head = element("tr");
    for (const text of ["class", ...counted, ...split.columns]) { const cell = head.appendChild(element("th", text, text === "class" ? "" : "number")); cell.scope = "col"; }
    const hidden = hiddenOf(entry);
    const rows = entry.names.map((name, kind) => {
      const row = element("tr");
      const first = row.appendChild(element("th"));
      first.scope = "row";
      const label = first.appendChild(element("label"));
      const box = label.appendChild(element("input"));
      box.type = "checkbox"; box.checked = !hidden.has(name); box.dataset.kind = name;
      if (entry.palette) { const swatch = label.appendChild(element("span", "", "swatch square")); swatch.style.background = `rgb(${entry.palette[kind].join(",")})`; }
      label.append(name);
      const cells = entry.true ? boxCounts(entry, run, name) : pointCounts(entry, run, kind);
      if (cells[0] === "0" && (cells[1] === "0" || cells[1] === "–")) row.className = "absent";
      for (const text of [...cells, ...(split.rows[name] ?? split.columns.map(() => "–"))]) row.append(element("td", text, "number"));
      return row;
    });
    const focused = document.activeElement?.dataset?.kind;
    find("#classes thead").replaceChildren(head);
    find("#classes tbody").replaceChildren(...rows);
    if (focused !== undefined) all("#classes input").find((box) => box.dataset.kind === focused)?.focus();
  }
  function boxCounts(entry, run, name) {
    const shown = run?.boxes ? shownBoxes(entry, run).filter((index) => run.boxes.names[index] === name) : [];
    return [entry.true.names.filter((one) => one === name).length, shown.length, shown.filter((index) => run.boxes.found[index]).length].map(String);
  }
  function pointCounts(entry, run, kind) {
    const [truth, predicted] = [labelsOf(entry, "truth"), run ? labelsOf(run, "labels") : null];
    let [there, both, either] = [0, 0, 0];
    truth.forEach((label, index) => {
      if (label === NONE) return;
      const [is, said] = [label === kind, predicted ? predicted[index] === kind : false];
      there += is; both += is && said; either += is || said;
    });
    return [there.toLocaleString("en"), predicted && either ? ((100 * both) / either).toFixed(0) : "–"];
  }

  function fillRuns(entry) {
    const select = find("#scenes-run");
    if (!select) return;
    select.closest("label").hidden = entry.runs.length < 2;
    const options = entry.runs.map((run, index) => new Option(run.name, index));
    if (entry.runs.length > 1) options.push(new Option("all, side by side", -1));
    if (scenes.run >= entry.runs.length) scenes.run = 0;
    select.replaceChildren(...options);
    select.value = scenes.run;
  }

  function startScenes(redraw) {
    const wanted = data.scenes.reduce((sum, entry) => sum + (entry.true?.boxes.length ?? 0), 0);
    const scores = data.scenes.flatMap((entry) => entry.runs[0]?.boxes?.scores ?? []).sort((a, b) => b - a);
    scenes.score = Math.floor(100 * (scores[Math.min(wanted, scores.length) - 1] ?? 0)) / 100;
    const extent = Math.max(0, ...data.scenes.filter((entry) => entry.kind !== "parts").map((entry) => entry.cloud.step[2] * 65535));
    find("#scenes-cut").value = extent > 2.1 ? 0.8 : 1; /* ceilings would hide the room */
    find("#score").value = scenes.score;
    find("#score").addEventListener("input", (event) => { scenes.score = Number(event.target.value); redraw(); });
    find("#scenes-cut").addEventListener("input", redraw);
    all('#scenes input[name="colouring"]').forEach((radio) => radio.addEventListener("change", () => { scenes.colouring = radio.value; redraw(); }));
    find("#scenes-run").addEventListener("change", (event) => { scenes.run = Number(event.target.value); redraw(); });
    find("#beside").addEventListener("change", (event) => { scenes.beside = event.target.checked; redraw(); });
    all("#scenes input[data-layer]").forEach((box) => box.addEventListener("change", () => { scenes.layers[box.dataset.layer] = box.checked; redraw(); }));
    find("#names").addEventListener("change", (event) => { views.scenes.names = event.target.checked; redraw(); });
    find("#classes").addEventListener("change", (event) => {
      const hidden = hiddenOf(scenes.entry);
      if (event.target.checked) hidden.delete(event.target.dataset.kind); else hidden.add(event.target.dataset.kind);
      redraw();
    });
    all("#scenes [data-classes]").forEach((button) => button.addEventListener("click", () => {
      const hidden = hiddenOf(scenes.entry);
      hidden.clear();
      if (button.dataset.classes === "none") scenes.entry.names.forEach((name) => hidden.add(name));
      redraw();
    }));
  }

  /* ---- analyses ---- */
  const chosen = { pipeline: 0, scenes: 0, attention: 0, concept: 0, sampling: 0, neighbours: 0 };

  /* A point's colour is the mean weight of the patches that hold it, as a multiple of an even share. */
  function drawAttention(view, entry) {
    const cloud = cloudOf(entry.cloud);
    const members = numbers(entry.patches);
    const every = new Float32Array(bytesOf(entry.attention).buffer);
    const concept = Math.min(chosen.concept, entry.concepts - 1);
    const weights = every.subarray(concept * entry.groups, (concept + 1) * entry.groups);
    const [sums, counts] = [new Float64Array(size(cloud)), new Uint32Array(size(cloud))];
    members.forEach((point, at) => { sums[point] += weights[Math.floor(at / entry.size)] * entry.groups; counts[point] += 1; });
    const most = Math.max(...weights) * entry.groups;
    const free = ink("line");
    view.show([{ cloud, ink: inked(size(cloud), (index) => (counts[index] ? onScale(sums[index] / counts[index] / most) : free)) }]);
    const spread = Math.exp(-weights.reduce((sum, weight) => sum + (weight > 0 ? weight * Math.log(weight) : 0), 0));
    find("#attention-said").textContent =
      `Concept ${concept + 1} in this frame: as spread out as an even weight on ${spread.toFixed(1)} of ${entry.groups} patches; the patch it reads most has ${most.toFixed(1)} times the even share.`;
    find("#attention .scale-most").textContent = `${most.toFixed(1)} × even share`;
  }

  function drawSampling(view, entry) {
    const cloud = cloudOf(entry.cloud);
    const paint = byHeight(cloud);
    const draws = entry.draws.map((draw) => {
      const kept = new Uint8Array(size(cloud));
      numbers(draw.rows).forEach((index) => { kept[index] = 1; });
      return { cloud, ink: inked(size(cloud), (index) => (kept[index] ? paint(index) : null)), title: `${draw.count.toLocaleString("en")} points, mean gap ${(1000 * draw.distance).toFixed(1)} mm` };
    });
    view.show([{ cloud, ink: inked(size(cloud), paint), title: `all ${entry.all.toLocaleString("en")} points` }, ...draws]);
  }

  /* A cloud and those whose frozen features are most like its own. */
  function drawNeighbours(view, entry) {
    view.show(entry.clouds.map((packed, at) => {
      const cloud = cloudOf(packed);
      return { cloud, ink: inked(size(cloud), byHeight(cloud)), title: at ? `${at}. ${entry.names[at]}` : `asked: ${entry.names[0]}` };
    }));
    const rows = entry.names.map((name, at) => {
      const row = element("tr");
      const first = row.appendChild(element("th", at ? `${at}.` : "asked"));
      first.scope = "row";
      row.append(element("td", name), element("td", at ? number(entry.likeness[at]) : "", "number"), element("td", entry.said[at], "said"));
      return row;
    });
    find("#neighbours-list tbody").replaceChildren(...rows);
  }

  const draws = { pipeline: drawPipeline, scenes: drawScenes, attention: drawAttention, sampling: drawSampling, neighbours: drawNeighbours };
  const views = {};
  const kinds = Object.keys(draws).filter((kind) => data[kind]?.length && find(`.viewer[data-view="${kind}"]`));
  const redraw = (kind) => draws[kind](views[kind], data[kind][chosen[kind]]);

  function connectPicker(picker) {
    const kind = picker.dataset.for;
    const target = picker.dataset.draws ?? kind;
    const select = find("select", picker);
    const choose = (index) => { chosen[kind] = (index + select.options.length) % select.options.length; select.value = chosen[kind]; redraw(target); };
    select.addEventListener("change", () => choose(Number(select.value)));
    for (const button of all("button", picker)) button.addEventListener("click", () => choose(chosen[kind] + Number(button.dataset.step)));
  }

  function connectViewer(kind) {
    const place = find(`.viewer[data-view="${kind}"]`);
    /* Frames are seen from where the camera was, rooms from a corner. */
    const view = new spatial.View(find(".space", place), kind === "scenes" ? {} : { around: -1.35, up: 0.38, zoom: 1.25 });
    views[kind] = view;
    for (const button of all("[data-camera]", place)) button.addEventListener("click", () => view.act(button.dataset.camera));
    const dots = find("[data-size]", place);
    dots?.addEventListener("input", () => { view.size = Number(dots.value); view.later(); });
    if (!view.works) {
      find(".missing", place).hidden = false;
      find(".tools", place).hidden = true;
    }
  }

  /* ---- charts: legends hide series, the pointer reads values ---- */
  function connectLegend(legend) {
    const section = legend.closest("section");
    for (const button of all("button", legend)) {
      button.addEventListener("click", () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(on));
        all(`.chart [data-series="${button.dataset.series}"]`, section).forEach((group) => group.classList.toggle("off", !on));
      });
    }
  }
  function connectChart(chart) {
    const [left, right, bottom, top] = chart.dataset.plot.split(" ").map(Number);
    const [first, last, low, high] = ["first", "last", "low", "high"].map((name) => Number(chart.dataset[name]));
    const tip = chart.parentElement.appendChild(element("div", "", "tip"));
    tip.hidden = true;
    tip.setAttribute("aria-hidden", "true");
    chart.parentElement.classList.add("with-tip");
    const lines = all("path.line", chart).map((path) => ({ path, places: path.getAttribute("d").slice(1).split("L").map((pair) => pair.split(",").map(Number)) }));
    const along = (x) => { const share = (x - left) / (right - left); return chart.dataset.log ? first * (last / first) ** share : first + share * (last - first); };
    chart.addEventListener("pointermove", (event) => {
      const bounds = chart.getBoundingClientRect();
      const scale = chart.viewBox.baseVal.width / bounds.width;
      const [px, py] = [(event.clientX - bounds.left) * scale, (event.clientY - bounds.top) * scale];
      let best = null;
      for (const { path, places } of lines) {
        if (path.closest(".off")) continue;
        for (const [x, y] of places) {
          const away = Math.hypot(x - px, y - py);
          if (away < 28 && (!best || away < best.away)) best = { away, x, y, name: path.dataset.name };
        }
      }
      tip.hidden = !best;
      if (!best) return;
      const value = high - ((best.y - top) / (bottom - top)) * (high - low);
      tip.textContent = `${best.name}: ${value.toPrecision(3)} at ${chart.dataset.x} ${Number(along(best.x).toPrecision(4)).toLocaleString("en")}`;
      tip.style.left = `${chart.offsetLeft + best.x / scale}px`;
      tip.style.top = `${chart.offsetTop + best.y / scale}px`;
      tip.classList.toggle("to-left", best.x > (left + right) / 2);
    });
    chart.addEventListener("pointerleave", () => { tip.hidden = true; });
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

  function drawAll() {
    let [drawn, failed] = [0, 0];
    for (const kind of kinds) {
      try { redraw(kind); if (views[kind].works) drawn += 1; } catch (problem) { failed += 1; report(problem.stack ?? problem); }
    }
    Object.assign(root.dataset, { drawn, failed, contexts: spatial.contexts(), ready: "yes" });
  }

  kinds.forEach(connectViewer);
  if (kinds.includes("scenes")) startScenes(() => redraw("scenes"));
  all(".picker").forEach(connectPicker);
  all(".legend.toggles").forEach(connectLegend);
  all(".chart[data-plot]").forEach(connectChart);
  connectTheme();
  drawAll();
})();
