/* Draws the plots of analyses, with page.js's tools: kind -> (element, entry). */
const drawAnalyses = (tools) => {
  "use strict";
  const { state, find, bytes, points, pick, plain, colour, initColour } = tools;
  const { flatLayout, axis, flatConfig, heading, spatialLayout, spatialConfig, cloudTrace } = tools;
  const numbers = (text) => new Uint32Array(bytes(text).buffer);
  const below = { orientation: "h", x: 0, y: -0.2, yanchor: "top", bgcolor: "transparent", font: { size: 12, color: colour("ink") } };
  const marks = ["circle", "square", "diamond", "cross", "x", "triangle-up", "star"];
  const hues = ["#3b7ddd", "#f08c2e", "#2ea067", "#d64854", "#9163cb", "#9e7054", "#e270b2", "#8c9199", "#bcb228", "#2db6c8", "#a5552a", "#78c878"];

  /* R² in bars, a colour an initialisation; hatched where a regression reads frozen features. */
  function columns(element, spec) {
    const traces = spec.series.map((series) => ({
      type: "bar", x: spec.labels, y: series.y, name: plain(series.name),
      marker: { color: initColour(series.init), pattern: series.how === "ridge" ? { shape: "/", size: 5, fillmode: "replace" } : {} },
      hovertemplate: `${spec.x} %{x}: %{y:.3f}<extra>${plain(series.name)}</extra>`,
    }));
    if (spec.shares) {
      traces.push({
        type: "scatter", mode: "lines+markers", x: spec.labels, y: spec.shares, name: "share of the variance",
        line: { dash: "dot", width: 1.5, color: colour("ink") }, marker: { size: 5 },
        hovertemplate: "%{y:.1%} of the variance<extra></extra>",
      });
    }
    const layout = flatLayout({
      barmode: "group", bargap: 0.25, showlegend: true, legend: below, margin: { l: 52, r: 14, t: 14, b: 44 },
      xaxis: axis({ type: "category", title: heading(spec.x), showgrid: false, fixedrange: true }),
      yaxis: axis({ title: heading("R²"), zeroline: true, zerolinecolor: colour("quiet"), fixedrange: true }),
    });
    return Plotly.react(element, traces, layout, flatConfig);
  }

  function maps(element, spec) {
    const traces = spec.classes.map(plain).map((name, kind) => {
      const members = [...spec.labels.keys()].filter((index) => spec.labels[index] === kind);
      return {
        type: "scatter", mode: "markers", name, x: members.map((index) => spec.places[index][0]), y: members.map((index) => spec.places[index][1]),
        marker: { size: 6, opacity: 0.85, color: hues[kind % hues.length], symbol: marks[Math.floor(kind / hues.length) % marks.length] },
        hovertemplate: `${name}<extra></extra>`,
      };
    });
    const bare = { showticklabels: false, nticks: 6 };
    const layout = flatLayout({
      hovermode: "closest", showlegend: true, legend: { ...below, y: -0.03, font: { size: 11, color: colour("ink") } },
      margin: { l: 10, r: 10, t: 10, b: 10 }, xaxis: axis(bare), yaxis: axis(bare),
    });
    return Plotly.react(element, traces, layout, flatConfig);
  }

  /* Means against the share of labels, with a band of one standard deviation. */
  function curves(element, spec) {
    const traces = spec.series.flatMap((series) => {
      const ink = initColour(series.init);
      const x = series.points.map((point) => point.x);
      const edge = (sign) => series.points.map((point) => point.mean + sign * (point.std ?? 0));
      const band = { type: "scatter", mode: "lines", x, line: { width: 0, color: ink }, legendgroup: series.name, showlegend: false, hoverinfo: "skip" };
      const seeds = series.points.flatMap((point) => point.figures.map((figure) => [point.x, figure]));
      return [
        { ...band, y: edge(-1) },
        { ...band, y: edge(1), fill: "tonexty", fillcolor: ink.replace("rgb(", "rgba(").replace(")", ", 0.16)") },
        {
          type: "scatter", mode: "markers", x: seeds.map(([share]) => share), y: seeds.map(([, figure]) => figure), legendgroup: series.name,
          showlegend: false, marker: { size: 4, color: ink, opacity: 0.45 }, hoverinfo: "skip",
        },
        {
          type: "scatter", mode: "lines+markers", x, y: series.points.map((point) => point.mean), name: plain(series.name), legendgroup: series.name,
          line: { color: ink, width: 2.4 }, marker: { size: 7 },
          customdata: series.points.map((point) => (point.std === null ? "one seed" : `± ${point.std.toFixed(2)}`)),
          hovertemplate: `${plain(series.name)}, %{x:g} % of labels<br>%{y:.2f} %{customdata}<extra></extra>`,
        },
      ];
    });
    const shares = [...new Set(spec.series.flatMap((series) => series.points.map((point) => point.x)))].sort((a, b) => a - b);
    const layout = flatLayout({
      showlegend: true, legend: below, hovermode: "closest", margin: { l: 52, r: 14, t: 14, b: 44 },
      xaxis: axis({ type: "log", title: heading("labels"), tickvals: shares, ticktext: shares.map((share) => `${share} %`), fixedrange: true }),
      yaxis: axis({ title: heading(spec.y), nticks: 6, fixedrange: true }),
    });
    return Plotly.react(element, traces, layout, flatConfig);
  }

  /* A point's colour is the mean weight of the patches that hold it, as a multiple of an even share. */
  function attention(element, entry) {
    const [x, y, z] = points(entry.cloud);
    const members = numbers(entry.patches);
    const weights = new Float32Array(bytes(entry.attention).buffer).subarray(state.concept * entry.groups, (state.concept + 1) * entry.groups);
    const [sums, counts] = [new Float64Array(x.length), new Uint32Array(x.length)];
    members.forEach((point, at) => { sums[point] += weights[Math.floor(at / entry.size)] * entry.groups; counts[point] += 1; });
    const all = [...x.keys()];
    const [held, free] = [all.filter((index) => counts[index]), all.filter((index) => !counts[index])];
    const place = (indices) => [pick(x, indices), pick(y, indices), pick(z, indices)];
    const most = Math.max(...weights) * entry.groups;
    const spread = Math.exp(-weights.reduce((sum, weight) => sum + (weight > 0 ? weight * Math.log(weight) : 0), 0));
    const bar = { title: { text: "× even share", side: "right" }, thickness: 14, len: 0.7, x: 1, xanchor: "right", tickfont: { color: colour("ink") } };
    const shades = held.map((index) => sums[index] / counts[index]);
    const traces = [
      cloudTrace(place(free), { size: 1.4, color: colour("quiet"), opacity: 0.35 }, { name: "in no patch" }),
      cloudTrace(place(held), { size: 3, color: shades, colorscale: "Viridis", cmin: 0, cmax: most, colorbar: bar }, { name: "weight" }),
    ];
    find("#attention-said").textContent =
      `Concept ${state.concept + 1} in this frame: as spread out as an even weight on ${spread.toFixed(1)} of ${entry.groups} patches; the patch it reads most has ${most.toFixed(1)} times the even share.`;
    return Plotly.react(element, traces, spatialLayout(entry.title, { x: 0.3, y: -1.3, z: 0.45 }, { showlegend: false }), spatialConfig);
  }

  /* All points and the draws, side by side; what turns one panel turns all. */
  function sampling(element, entry) {
    const cloud = points(entry.cloud);
    const panels = [
      { title: `all ${entry.all.toLocaleString("en")} points`, rows: [...cloud[0].keys()] },
      ...entry.draws.map((draw) => ({ title: `${draw.count.toLocaleString("en")} points, mean gap ${(1000 * draw.distance).toFixed(1)} mm`, rows: [...numbers(draw.rows)] })),
    ];
    const heights = cloud[2].reduce(([low, high], z) => [Math.min(low, z), Math.max(high, z)], [Infinity, -Infinity]);
    const base = spatialLayout(entry.title, { x: 0.4, y: -2.05, z: 0.65 }, { showlegend: false });
    const scenes = panels.map((_, at) => (at ? `scene${at + 1}` : "scene"));
    const layout = { ...base, annotations: [] };
    const traces = panels.map((panel, at) => {
      const [left, right] = [at / panels.length, (at + 1) / panels.length];
      layout[scenes[at]] = { ...base.scene, domain: { x: [left + 0.005, right - 0.005], y: [0, 0.92] } };
      layout.annotations.push({ text: panel.title, x: (left + right) / 2, y: 0.99, xref: "paper", yref: "paper", showarrow: false, font: { size: 13, color: colour("ink") } });
      const shades = pick(cloud[2], panel.rows);
      return cloudTrace(cloud.map((values) => pick(values, panel.rows)), { size: 2, color: shades, colorscale: "Viridis", cmin: heights[0], cmax: heights[1] }, { name: panel.title, scene: scenes[at] });
    });
    const drawn = Plotly.react(element, traces, layout, spatialConfig);
    if (!element.dataset.linked) {
      element.dataset.linked = "yes";
      let busy = false;
      element.on("plotly_relayout", (change) => {
        const from = scenes.find((scene) => change[`${scene}.camera`]);
        if (busy || !from) return;
        busy = true;
        const others = scenes.filter((scene) => scene !== from).map((scene) => [`${scene}.camera`, change[`${from}.camera`]]);
        Plotly.relayout(element, Object.fromEntries(others)).finally(() => { busy = false; });
      });
    }
    return drawn;
  }

  return { flat: { columns, maps, curves }, spatial: { attention, sampling } };
};
