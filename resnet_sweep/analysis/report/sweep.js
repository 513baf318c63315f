// What a sweep taught: importance, effects, noise between seeds, the course, the workers.
const shortName = (name, length = 34) => {
  let text = name;
  while (text.length > length && text.includes(".")) text = text.slice(text.indexOf(".") + 1);
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
};
const absent = (host, why) => { host.classList.add("empty"); host.append(element("p", why, { class: "absent" })); };
const rowsOf = (host, count, extra = 70) => { host.style.height = `${Math.max(120, count * 22 + extra)}px`; };
const nameRows = (plot, names) => {
  const axis = plot.left[0];
  setTicks(axis, names.map((_, i) => i), (i) => shortName(names[i]));
  for (const each of plot.center) if (each instanceof Bokeh.Grid && each.dimension === 1) each.visible = false;
};

figure("importance", "figure-importance-bars", async (host) => {
  const { bars, reason, shuffles } = pictures.importance;
  if (!bars.length) return absent(host, `Not drawn: ${reason ?? "nothing was varied"}.`);
  const known = bars.some(({ noise }) => noise !== null);
  byId("read-importance").textContent =
    `Blue bars pass both floors and the F-test: these hyperparameters matter; of a grey one nothing can be told. Dark mark: what the luckiest reaches in 1 of 20 of ${shuffles} shuffles. ` +
    (known ? "Orange mark: what seed noise alone reaches." : "The noise between seeds is not known: train one configuration with several seeds, until they differ.");
  rowsOf(host, bars.length);
  const top = Math.min(1, Math.max(...bars.flatMap(({ effect, chance, noise }) => [effect, chance ?? 0, noise ?? 0])) * 1.05) || 1;
  const plot = makePlot({ x_range: ranges(0, top), y_range: ranges(bars.length - 0.4, -0.6), x_axis_label: "partial eta squared (fraction)" });
  nameRows(plot, bars.map(({ name }) => name));
  setTicks(plot.below[0], linearTicks(0, top, 6));
  const rows = bars.map((_, i) => i);
  const source = new Bokeh.ColumnDataSource({ data: { y: rows, right: bars.map(({ effect }) => effect), color: bars.map(() => "") } });
  plot.hbar({ y: { field: "y" }, right: { field: "right" }, left: 0, height: 0.62, source, fill_color: { field: "color" }, line_color: null });
  const marks = (values) => plot.segment({ x0: values.map((v) => v ?? NaN), x1: values.map((v) => v ?? NaN), y0: rows.map((y) => y - 0.42), y1: rows.map((y) => y + 0.42), line_width: 2.4 });
  const chance = marks(bars.map((bar) => bar.chance)), noise = marks(bars.map((bar) => bar.noise));
  const paint = () => {
    source.data = { ...source.data, color: bars.map(({ matters }) => (matters ? colors().accent : colors().faint)) };
    chance.glyph.line_color = colors().text;
    noise.glyph.line_color = colors().value;
  };
  paint();
  const view = await showPlot(plot, host);
  const place = (i) => ({ x: view.frame.x_scale.compute(bars[i].effect), y: view.frame.y_scale.compute(i) });
  const lines = ({ name, effect, p, chance: c, noise: n }) => [name, `effect ${effect}, p = ${p}`, `floor of chance ${c ?? "–"}, of noise ${n ?? "–"}`];
  pointAt(host, {
    find: (x, y) => { const i = Math.round(view.frame.y_scale.invert(y)); return bars[i] ? { ...place(i), lines: lines(bars[i]), name: bars[i].name } : null; },
    walk: () => bars.map((bar, i) => ({ ...place(i), lines: lines(bar), name: bar.name })),
    pick: ({ name }) => { const column = name.split("@")[0].split("[")[0]; if (columnOf.has(column)) openAdding(column); },
  });
  return { refresh: (what) => { if (what === "theme") paint(); } };
});

figure("effects", "figure-effects-panels", async (host) => {
  const { panels, y, limits, total, leftOut } = pictures.effects;
  if (!panels.length || !limits) return absent(host, "Not drawn: no hyperparameter was varied among completed runs.");
  byId("read-effects").textContent =
    "A dot is a configuration; the orange line joins means with 95% intervals, everything else left to vary (hollow: fewer than three)." +
    (y.length < total ? ` ${y.length} of ${total.toLocaleString("en")} configurations are drawn, all are in the means.` : "") +
    (leftOut.length ? ` Not shown, with smaller effects: ${leftOut.slice(0, 4).join(", ")}${leftOut.length > 4 ? ", …" : ""}.` : "");
  const [low, high] = limits, edge = 0.015 * (high - low);
  const clamped = (values) => values.map((v) => (v === null ? NaN : Math.min(high - edge, Math.max(low + edge, v))));
  const painters = [];
  for (const panel of panels) {
    const box = element("div", undefined, { class: "panel" }), inner = element("div", undefined, { class: "figure small" });
    box.append(element("h3", panel.name), inner);
    box.firstChild.append(element("small", panel.matters ? " matters" : " cannot tell"));
    box.title = panel.name;
    host.append(box);
    const known = panel.x.filter((v) => v !== null);
    const [from, to] = panel.levels ? [-0.5, panel.levels.length - 0.5] : [Math.min(...known), Math.max(...known)];
    const margin = panel.log ? (to / from) ** 0.04 : 0.04 * (to - from);
    const range = panel.levels ? ranges(from, to) : panel.log ? ranges(from / margin, to * margin) : ranges(from - margin, to + margin);
    const plot = makePlot({ x_range: range, y_range: ranges(low, high), x_axis_type: panel.log ? "log" : "linear" });
    setTicks(plot.left[0], linearTicks(low, high, 4));
    if (panel.levels) {
      setTicks(plot.below[0], panel.levels.map((_, i) => i), (i) => shortName(panel.levels[i], 16));
      if (panel.levels.join("").length > 26) plot.below[0].major_label_orientation = 0.6;
    } else setTicks(plot.below[0], panel.log ? logTicks(from, to, 5) : linearTicks(from, to, 5));
    const dots = plot.scatter({ x: panel.x.map((v) => v ?? NaN), y: clamped(y), size: y.length < 300 ? 5 : 3, line_color: null, fill_alpha: 0.6 });
    const means = clamped(panel.means);
    const bars = plot.segment({ x0: panel.centres, x1: panel.centres, y0: clamped(panel.means.map((m, i) => m - panel.halves[i])), y1: clamped(panel.means.map((m, i) => m + panel.halves[i])), line_width: 1.6 });
    const line = panel.levels ? null : plot.line(panel.centres, means, { line_width: 1.6 });
    const full = plot.scatter({ x: panel.centres, y: means.map((m, i) => (panel.few[i] ? NaN : m)), size: 7, line_color: null });
    const hollow = plot.scatter({ x: panel.centres, y: means.map((m, i) => (panel.few[i] ? m : NaN)), size: 7, line_width: 1.5 });
    const paint = () => {
      const { faint, value, back } = colors();
      dots.glyph.fill_color = faint;
      for (const each of [bars, line, hollow]) if (each) each.glyph.line_color = value;
      full.glyph.fill_color = value;
      hollow.glyph.fill_color = back;
    };
    paint();
    painters.push(paint);
    await showPlot(plot, inner);
  }
  return { refresh: (what) => { if (what === "theme") painters.forEach((paint) => paint()); } };
});

figure("noise", "figure-noise", async (host) => {
  const rows = pictures.noise;
  if (!rows.length) return absent(host, "Not drawn: no configuration was trained with two seeds.");
  rowsOf(host, rows.length);
  const values = rows.flatMap(({ seeds, low, high }) => [...seeds, low, high]).filter((v) => v !== null);
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (pictures.objective.isAccuracy) [low, high] = [Math.max(0, low), Math.min(1, high)];
  const margin = 0.04 * (high - low) || 0.001;
  const plot = makePlot({ x_range: ranges(low - margin, high + margin), y_range: ranges(rows.length - 0.4, -0.6), x_axis_label: pictures.objective.label });
  nameRows(plot, rows.map(({ run, seeds }) => `${nameOf(run)} (n = ${seeds.length})`));
  setTicks(plot.below[0], linearTicks(low, high, 5));
  const places = rows.map((_, i) => i);
  const dots = plot.scatter({ x: rows.flatMap(({ seeds }) => seeds), y: rows.flatMap(({ seeds }, i) => seeds.map(() => i)), size: 7, line_color: null, fill_alpha: 0.8 });
  const bars = plot.segment({ x0: rows.map((row) => Math.max(low, row.low ?? NaN)), x1: rows.map((row) => Math.min(high, row.high ?? NaN)), y0: places, y1: places, line_width: 2.2 });
  const means = plot.scatter({ x: rows.map(({ mean }) => mean), y: places, marker: "diamond", size: 10, line_color: null });
  const paint = () => {
    dots.glyph.fill_color = colors().faint;
    bars.glyph.line_color = means.glyph.fill_color = colors().accent;
  };
  paint();
  const view = await showPlot(plot, host);
  const all = () => rows.map(({ run, mean }, i) => ({ run, x: view.frame.x_scale.compute(mean), y: view.frame.y_scale.compute(i) }));
  pointAt(host, { find: (_, y) => all().find((each) => Math.abs(each.y - y) < 11) ?? null, walk: all, pick: pickRun });
  return { refresh: (what) => { if (what === "theme") paint(); } };
});

figure("course", "figure-course", async (host) => {
  const { runs, place, best, rejected, numRejected, of } = pictures.history;
  if (!best.length) return absent(host, "Not drawn: no run has completed.");
  const status = columnOf.get("status"), color = (run) => valueOf(status, run);
  const withValue = runs.map((run, i) => [run, place[i]]).filter(([run]) => Number.isFinite(numberOf(objective, run)));
  const without = runs.map((run, i) => [run, place[i]]).filter(([run]) => !Number.isFinite(numberOf(objective, run)));
  const last = Math.max(...place, ...rejected.slice(-1));
  byId("read-course").textContent =
    `${of ? `Sweep ${of}. ` : ""}The line is the best so far: where it is flat, more trials found nothing better.` +
    (numRejected ? ` ${numRejected.toLocaleString("en")} proposals were rejected before training (marks at the bottom).` : "") +
    (without.length ? ` ${without.length} without a value stand at the bottom.` : "");
  const plot = makePlot({ x_range: ranges(-0.02 * last - 0.5, last * 1.02 + 0.5), y_range: ranges(LOW - 0.08 * (HIGH - LOW), HIGH), x_axis_label: of ? "trial" : "run, by name", y_axis_label: pictures.objective.label });
  setTicks(plot.below[0], linearTicks(0, last, 8).filter(Number.isInteger));
  setTicks(plot.left[0], linearTicks(LOW, HIGH, 5));
  const bottom = LOW - 0.075 * (HIGH - LOW);
  const marks = plot.segment({ x0: rejected, x1: rejected, y0: rejected.map(() => bottom), y1: rejected.map(() => bottom + 0.03 * (HIGH - LOW)), line_width: rejected.length < 200 ? 1.4 : 0.6 });
  const lost = new Bokeh.ColumnDataSource({ data: { x: without.map(([, x]) => x), y: without.map(() => LOW - 0.025 * (HIGH - LOW)), color: [] } });
  plot.scatter({ field: "x" }, { field: "y" }, { source: lost, marker: "x", size: 7, line_color: { field: "color" }, line_width: 1.8 });
  const steps = best.flatMap(([x, value], i) => (i ? [[x, best[i - 1][1]], [x, value]] : [[x, value]]));
  steps.push([last, best.at(-1)[1]]);
  const line = plot.line(steps.map(([x]) => x), steps.map(([, value]) => clampTo(inside, value)), { line_width: 1.4 });
  const paint = () => {
    line.glyph.line_color = colors().text;
    marks.glyph.line_color = statusColor("rejected");
    lost.data = { ...lost.data, color: without.map(([run]) => statusColor(color(run))) };
  };
  paint();
  const points = runPoints(await showPlot(plot, host), host, withValue.map(([run]) => run), withValue.map(([, x]) => x), runs.length < 500 ? 6 : 4);
  return { refresh: (what) => { if (what === "theme") paint(); points.refresh(what); } };
});

figure("timeline", "figure-timeline", async (host) => {
  const { bars, began, busy } = pictures.timeline;
  if (!bars.length) return absent(host, "No sweep recorded when its trials ran.");
  const workers = [...new Set(bars.map(([worker]) => worker))].sort((a, b) => a - b), row = new Map(workers.map((w, i) => [w, i]));
  const span = Math.max(...bars.map((bar) => bar[2])), [unit, seconds] = span > 7200 ? ["h", 3600] : span > 120 ? ["min", 60] : ["s", 1];
  rowsOf(host, Math.min(workers.length, 24), 64);
  const date = `${new Date(began * 1000).toISOString().slice(0, 16).replace("T", " ")} UTC`;
  byId("read-timeline").textContent = `One row a worker, a bar a trial in the colour of its end; gaps are idle time. Busy ${Math.round(100 * busy)}% of the time between the first start and the last end.`;
  const plot = makePlot({ x_range: ranges(0, (span / seconds) * 1.01), y_range: ranges(workers.length - 0.4, -0.6), x_axis_label: `time since ${date} (${unit})` });
  nameRows(plot, workers.map((w) => `worker ${w}`));
  if (workers.length > 30) setTicks(plot.left[0], []);
  setTicks(plot.below[0], linearTicks(0, span / seconds, 8));
  const source = new Bokeh.ColumnDataSource({ data: { y: bars.map(([w]) => row.get(w)), left: bars.map((b) => b[1] / seconds), right: bars.map((b) => b[2] / seconds), color: [] } });
  const drawn = plot.hbar({ y: { field: "y" }, left: { field: "left" }, right: { field: "right" }, height: 0.7, source, fill_color: { field: "color" }, line_width: bars.length > 500 ? 0 : 0.8 });
  const paint = () => {
    drawn.glyph.line_color = colors().back;
    source.data = { ...source.data, color: bars.map((b) => statusColor(b[3])) };
  };
  paint();
  const view = await showPlot(plot, host);
  pointAt(host, {
    find: (x, y) => {
      const at = view.frame.x_scale.invert(x) * seconds, place = Math.round(view.frame.y_scale.invert(y));
      const found = bars.find((b) => row.get(b[0]) === place && b[1] <= at && at <= b[2] && b[4] !== undefined && b[4] !== null);
      return found ? { run: found[4], x, y } : null;
    },
    walk: () => bars.filter((b) => b[4] !== undefined && b[4] !== null).map((b) => ({ run: b[4], x: view.frame.x_scale.compute((b[1] + b[2]) / 2 / seconds), y: view.frame.y_scale.compute(row.get(b[0])) })),
    pick: pickRun,
  });
  return { refresh: (what) => { if (what === "theme") paint(); } };
});
