// Learning curves: unpacked when they are asked for, drawn for the selected runs.
const MAX_CURVES = 40;
const MAX_NAMED = 7;

let curveTexts = null;  // of each part, base64
const unpacked = new Map();
const inflate = async (text) => {
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer()), half = planes.length / 2;
  const numbers = new Uint16Array(half);
  for (let i = 0; i < half; i++) numbers[i] = planes[i] | (planes[half + i] << 8);
  return numbers;
};
const halfFloat = (bits) => {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
};
// Return { epoch, train_accuracy, ... } of a run; see curves.py for the packing.
const curvesOf = async (run) => {
  curveTexts ??= byId("curves").textContent.split("\n");
  const part = Math.floor(run / data.runsOfPart);
  if (!unpacked.has(part)) unpacked.set(part, inflate(curveTexts[part]));
  const numbers = await unpacked.get(part);
  let place = 0;
  for (let each = part * data.runsOfPart; each < run; each++) place += data.counts[each] * (1 + data.series.length);
  const count = data.counts[run], found = {};
  ["epoch", ...data.series].forEach((name, s) => {
    let sum = 0;
    found[name] = Array.from({ length: count }, (_, i) => {
      sum = (sum + numbers[place + s * count + i]) & 0xffff;
      return s ? halfFloat(sum) : sum;
    });
  });
  return found;
};

const curvePlot = (kind) => {
  const plot = makePlot({ x_axis_label: "epoch", y_axis_label: kind === "accuracy" ? "accuracy (fraction)" : "cross-entropy (nats)", x_range: ranges(0, 1), y_range: ranges(0, 1) });
  const source = new Bokeh.ColumnDataSource({ data: { xs: [], ys: [], color: [], dash: [], width: [] } });
  const dotted = new Bokeh.ColumnDataSource({ data: { xs: [], ys: [], color: [] } });
  plot.multi_line({ field: "xs" }, { field: "ys" }, { source: dotted, line_color: { field: "color" }, line_width: 1.2, line_dash: "dotted" });
  plot.multi_line({ field: "xs" }, { field: "ys" }, { source, line_color: { field: "color" }, line_width: 2 });
  const draw = (drawn) => {  // [{ curves, color }]
    const values = { train: [], val: [] };
    for (const { curves, color } of drawn)
      for (const part of ["train", "val"]) values[part].push({ x: curves.epoch, y: curves[`${part}_${kind}`].map((v) => (Number.isFinite(v) ? v : NaN)), color });
    const all = [...values.train, ...values.val].flatMap(({ y }) => y).filter(Number.isFinite).sort((a, b) => a - b);
    const low = all[0] ?? 0;
    let high = all.at(-1) ?? 1;
    const usual = all[Math.floor(all.length * 0.9)] ?? 1;
    if (kind === "loss" && high > 4 * usual && usual > 0) high = 2 * usual;  // a first loss of thousands hides the rest
    const margin = 0.04 * (high - low) || 0.01;
    const last = Math.max(1, ...drawn.map(({ curves }) => curves.epoch.at(-1) ?? 1)), first = Math.min(last, ...drawn.map(({ curves }) => curves.epoch[0] ?? 1));
    plot.x_range.setv({ start: first - 0.02 * (last - first || 1), end: last + 0.02 * (last - first || 1) });
    plot.y_range.setv({ start: low - margin, end: high + margin });
    setTicks(plot.below[0], linearTicks(first, last, 7).filter(Number.isInteger));
    setTicks(plot.left[0], linearTicks(low, high, 5));
    for (const [part, into] of [["train", dotted], ["val", source]])
      into.data = { xs: values[part].map(({ x }) => x), ys: values[part].map(({ y }) => y), color: values[part].map(({ color }) => color) };
  };
  return { plot, draw };
};

const drawnRuns = () => (state.selected.size ? [...state.selected] : pictures.best).filter((run) => data.counts[run]);
const shownCurves = () => drawnRuns().slice(0, MAX_CURVES);
const colorOfCurve = (i, count) => (count > MAX_NAMED ? colors().accent : colors().cycle[i]);
const readCurves = () => {
  const runs = shownCurves(), total = drawnRuns().length, read = byId("read-curves");
  const what = state.selected.size ? (total > runs.length ? `${runs.length} of ${total} selected runs` : "The selected runs") : `The best ${runs.length} configurations; select runs to see theirs`;
  read.replaceChildren(`${what}. Solid: validation. Dotted: training, on augmented images, hence often worse. `);
  if (runs.length <= MAX_NAMED) runs.forEach((run, i) => {
    const button = element("button", nameOf(run), { type: "button", class: "key" });
    button.style.setProperty("--key", colorOfCurve(i, runs.length));
    button.addEventListener("click", () => openRun(run));
    read.append(button);
  });
  if (runs.some((run) => data.counts[run] >= data.curveLimit)) read.append(` At most ${data.curveLimit} epochs are drawn.`);
};
for (const kind of ["accuracy", "loss"])
  figure(kind, `figure-${kind}`, async (host) => {
    const { plot, draw } = curvePlot(kind);
    let latest = 0;
    const refresh = async (what) => {
      if (what === "filter") return;
      const turn = ++latest, runs = shownCurves();
      if (kind === "accuracy") readCurves();
      const found = await Promise.all(runs.map(curvesOf));
      if (turn === latest) draw(found.map((curves, i) => ({ curves, color: colorOfCurve(i, runs.length) })));
    };
    await refresh("selection");
    await showPlot(plot, host);
    return { refresh };
  });
