// Parallel coordinates: a run is a line through its settings; a box on an axis is a condition.
const MAX_LINES = 1000;
const ALWAYS_DRAWN = 250;  // of the best
const MAX_FAINT = 250;  // of those left out by the filter
const ABSENT = -0.09;
const LABEL_SIZE = "11px", LABEL_FONT = "system-ui, sans-serif";
const measuring = new OffscreenCanvas(1, 1).getContext("2d");
measuring.font = `${LABEL_SIZE} ${LABEL_FONT}`;
const fitted = (text, width) => {
  if (measuring.measureText(text).width <= width) return text;
  let count = text.length;
  while (count > 1 && measuring.measureText(`${text.slice(0, count)}…`).width > width) count--;
  return `${text.slice(0, count)}…`;
};

const makeAxis = (given) => {
  const column = columnOf.get(given.name);
  if (given.levels) {
    const last = Math.max(1, given.levels.length - 1);
    const heights = new Map(given.levels.map((level, i) => [level, given.levels.length === 1 ? 0.5 : i / last]));
    return { ...given, column, height: (run) => heights.get(textOf(column, run)) ?? ABSENT };
  }
  const scale = given.log ? Math.log10 : (value) => value;
  let low = Infinity, high = -Infinity;
  for (const run of pictures.ranked) {
    const value = numberOf(column, run);
    if (Number.isFinite(value)) { low = Math.min(low, value); high = Math.max(high, value); }
  }
  if (column === objective && pictures.objective.limits) [low, high] = [Math.max(low, LOW), Math.min(high, HIGH)];
  const [from, to] = [scale(low), scale(high)], span = to - from || 1;
  const isWhole = column.values.every((value) => typeof value !== "number" || Number.isInteger(value));
  return {
    ...given, column, low, high, isWhole,
    height: (run) => {
      const value = numberOf(column, run);
      return Number.isFinite(value) ? Math.max(0, Math.min(1, (scale(value) - from) / span)) : ABSENT;
    },
    valueAt: (share) => (given.log ? 10 ** (from + share * span) : from + share * span),
    shareOf: (value) => (scale(value) - from) / span,
    at: (share) => (given.log ? 10 ** (from + share * span) : from + share * span),
  };
};

// The conditions that a box from `low` to `high`, shares of an axis, stands for.
const boxConditions = (axis, low, high) => {
  const name = axis.name;
  if (high < -0.02) return [`${name}=null`];
  if (axis.levels) {
    const last = Math.max(1, axis.levels.length - 1);
    const inBox = axis.levels.filter((_, i) => { const y = axis.levels.length === 1 ? 0.5 : i / last; return y >= low && y <= high; });
    return inBox.length ? [conditionIn(name, inBox)] : [];
  }
  const round = (value, up) => (axis.isWhole ? (up ? Math.floor(value) : Math.ceil(value)) : Number(value.toPrecision(4)));
  const conditions = [];
  if (low > 0.001) conditions.push(`${name}>=${round(axis.valueAt(low), false)}`);
  if (high < 0.999) conditions.push(`${name}<=${round(axis.valueAt(high), true)}`);
  return conditions;
};
// The box of an axis that the filter has conditions on, or null.
const boxOf = (axis) => {
  const parts = piecesOf(state.filter).map(partsOf).filter((each) => each?.name === axis.name);
  if (!parts.length) return null;
  if (axis.levels) {
    const values = new Set(parts.filter(({ sign }) => sign === "=" || sign === "==" || sign === "in").flatMap(({ value }) => listOf(value)));
    if (values.has("null")) return [ABSENT - 0.03, ABSENT + 0.03];
    const last = Math.max(1, axis.levels.length - 1);
    const ys = axis.levels.flatMap((level, i) => (values.has(level) ? [axis.levels.length === 1 ? 0.5 : i / last] : []));
    return ys.length ? [Math.min(...ys) - 0.03, Math.max(...ys) + 0.03] : null;
  }
  let [low, high] = [0, 1];
  for (const { sign, value } of parts) {
    if (value === "null") return [ABSENT - 0.03, ABSENT + 0.03];
    const share = axis.shareOf(Number(value));
    if (!Number.isFinite(share)) continue;
    if (sign.startsWith(">")) low = Math.max(low, share);
    else if (sign.startsWith("<")) high = Math.min(high, share);
    else if (sign === "=" || sign === "==") [low, high] = [share, share];
  }
  return [low - 0.01, high + 0.01];
};

figure("parallel", "figure-parallel", async (host) => {
  const axes = pictures.axes.map(makeAxis);
  if (axes.length < 2) return host.append(element("p", "Fewer than two settings differ between the runs.", { class: "absent" }));
  const runs = pictures.ranked.filter((run) => Number.isFinite(numberOf(objective, run)));
  const heights = new Map(runs.map((run) => [run, Float64Array.from(axes, (axis) => axis.height(run))]));
  const good = pictures.objective.sign;
  const byGoodness = [...runs].sort((a, b) => good * (numberOf(objective, a) - numberOf(objective, b)));
  const shuffled = byGoodness.map((run, i) => [run, (i * 2654435761) >>> 0]).sort((a, b) => a[1] - b[1]).map(([run]) => run);
  const some = axes.some((axis) => runs.some((run) => axis.height(run) === ABSENT));
  const bottom = some ? -0.16 : -0.04;
  const plot = makePlot({ x_range: ranges(-0.55, axes.length - 0.5), y_range: ranges(bottom, 1.04) });
  plot.below[0].visible = false;
  plot.left[0].visible = false;
  for (const each of plot.center) if (each instanceof Bokeh.Grid) each.visible = false;

  const boxes = axes.map((_, i) => {
    const box = new Bokeh.BoxAnnotation({ left: i - 0.07, right: i + 0.07, bottom: 0, top: 1, visible: false, fill_alpha: 0.18, line_width: 1.2 });
    plot.add_layout(box);
    return box;
  });
  const rulers = axes.map((axis, i) => {
    const name = `axis ${i}`;
    const toRange = axis.levels ? (share) => share : axis.at;
    plot.extra_y_ranges = { ...plot.extra_y_ranges, [name]: ranges(toRange(bottom), toRange(1.04)) };
    if (axis.log) plot.extra_y_scales = { ...plot.extra_y_scales, [name]: new Bokeh.LogScale() };
    const ruler = new Bokeh.LinearAxis({ y_range_name: name, fixed_location: i, bounds: [toRange(bottom), toRange(1.04)] });
    plot.add_layout(ruler, "left");
    if (axis.levels) {
      const few = Math.ceil(axis.levels.length / 12), last = Math.max(1, axis.levels.length - 1);
      const ticks = axis.levels.map((_, k) => (axis.levels.length === 1 ? 0.5 : k / last));
      const label = new Map(ticks.map((tick, k) => [tick, axis.levels[k]]));
      setTicks(ruler, ticks.filter((_, k) => k % few === 0), (tick) => label.get(tick));
    } else setTicks(ruler, axis.log ? logTicks(axis.low, axis.high, 7) : linearTicks(axis.low, axis.high, 6).filter((t) => !axis.isWhole || Number.isInteger(t)));
    if (runs.some((run) => heights.get(run)[i] === ABSENT)) {
      const tick = toRange(ABSENT);
      ruler.ticker = new Bokeh.FixedTicker({ ticks: [...ruler.ticker.ticks, tick], minor_ticks: [] });
      ruler.major_label_overrides = new Map([...ruler.major_label_overrides, [tick, "none"]]);
    }
    return ruler;
  });
  // Bokeh draws an axis' labels without a ground: on the lines nobody could read them.
  const labels = { x: [], y: [], text: [] };
  rulers.forEach((ruler, i) => {
    for (const tick of ruler.ticker.ticks) {
      labels.x.push(i);
      labels.y.push(axes[i].levels ? tick : axes[i].shareOf(tick));
      labels.text.push(ruler.major_label_overrides.get(tick));
    }
  });
  const words = plot.text({ ...labels, x_offset: -7, text_align: "right", text_baseline: "middle", text_font_size: LABEL_SIZE, text_font: LABEL_FONT, background_fill_alpha: 0.8, padding: 1, level: "overlay" });

  const names = element("div", undefined, { class: "axis-names" });
  axes.forEach((axis, i) => {
    const button = element("button", axis.name.split(".").at(-1).replaceAll("_", "_\u200b"), { type: "button", title: `${axis.name}: add a condition` });
    button.addEventListener("click", () => openAdding(axis.name));
    button.dataset.axis = i;
    names.append(button);
  });
  host.before(names);

  let drawn = [];
  const [worst, best] = [byGoodness[Math.floor(byGoodness.length * 0.1)], byGoodness.at(-1)].map((run) => numberOf(objective, run));
  const shadeOf = (run) => {  // a place in the ramp of colours
    const count = colors().ramp.length, share = (numberOf(objective, run) - worst) / (best - worst || 1);
    return Math.max(0, Math.min(count - 1, Math.floor(share * count)));
  };
  const choose = () => {  // which of the passing runs are drawn, the best last
    const passing = byGoodness.filter((run) => state.passes[run]);
    if (passing.length <= MAX_LINES) return [passing, passing.length];
    const kept = new Set(passing.slice(-ALWAYS_DRAWN));
    for (const run of shuffled) {
      if (kept.size >= MAX_LINES) break;
      if (state.passes[run]) kept.add(run);
    }
    return [passing.filter((run) => kept.has(run)), passing.length];
  };
  const chooseFaint = (count) => {  // some of those left out
    const found = [];
    for (const run of shuffled) {
      if (found.length >= count) break;
      if (!state.passes[run]) found.push(run);
    }
    return found;
  };
  const drawLines = (pen, some) => {  // as one path, of one pixel's width: anything else takes many times as long
    const px = axes.map((_, i) => view.frame.x_scale.compute(i)), { y_scale } = view.frame;
    pen.beginPath();
    for (const run of some) {
      const shares = heights.get(run);
      for (let i = 0; i < px.length; i++) pen[i ? "lineTo" : "moveTo"](px[i], y_scale.compute(shares[i]));
    }
    pen.stroke();
  };
  const showBoxes = () => axes.forEach((axis, i) => {
    const span = boxOf(axis), { accent } = colors();
    boxes[i].setv(span ? { visible: true, bottom: span[0], top: span[1], fill_color: accent, line_color: accent } : { visible: false });
  });
  const styleRuler = (ruler) => {
    styleAxis(ruler);
    ruler.setv({ level: "overlay", major_label_text_color: null, axis_line_color: colors().soft, major_tick_line_color: colors().soft });
    words.glyph.setv({ text_color: colors().text, background_fill_color: colors().back });
  };
  rulers.forEach(styleRuler);
  showBoxes();
  boxSelect(plot, ({ x0, x1, y0, y1 }) => {
    const within = axes.flatMap((_, i) => (i >= x0 && i <= x1 ? [i] : []));
    const middle = Math.round((x0 + x1) / 2);
    const hit = within.length ? within : [Math.max(0, Math.min(axes.length - 1, middle))];
    for (const i of hit) {
      const conditions = boxConditions(axes[i], y0, y1);
      if (conditions.length || boxOf(axes[i])) constrain(axes[i].name, conditions);
    }
  });
  const view = await showPlot(plot, host);
  const setNames = () => {
    const { x_scale } = view.frame, step = x_scale.compute(1) - x_scale.compute(0);
    words.data_source.data = { ...labels, text: labels.text.map((text) => fitted(text, step - 14)) };
    for (const button of names.children) {
      button.style.left = `${x_scale.compute(Number(button.dataset.axis)) - step / 2}px`;
      button.style.width = `${step}px`;
    }
  };
  setNames();
  new ResizeObserver(() => requestAnimationFrame(setNames)).observe(host);
  const pixels = () => [axes.map((_, i) => view.frame.x_scale.compute(i)), (share) => view.frame.y_scale.compute(share)];
  const showLines = layer(host, (pen) => {
    const [chosen, total] = choose(), { ramp, faint } = colors();
    drawn = chosen;
    clipTo(pen, view.frame);
    pen.lineWidth = 1;
    pen.globalAlpha = 0.3;
    pen.strokeStyle = faint;
    drawLines(pen, chooseFaint(Math.min(MAX_FAINT, MAX_LINES - chosen.length)));
    pen.globalAlpha = 0.75;
    ramp.forEach((color, shade) => {
      pen.strokeStyle = color;
      drawLines(pen, chosen.filter((run) => shadeOf(run) === shade));
    });
    byId("read-parallel").textContent =
      `A line is a run, ${isDark ? "bright" : "dark"} for a good one (${objective.name}). Drag a box over an axis to filter by it, or click its name.` +
      (chosen.length < total ? ` ${chosen.length.toLocaleString("en")} of ${total.toLocaleString("en")} passing runs are drawn, the best among them; all are filtered.` : "");
  }, { under: true });
  const showSelected = layer(host, (pen) => {
    pen.strokeStyle = colors().value;
    pen.lineWidth = 2.6;
    drawLines(pen, runs.filter((run) => state.selected.has(run)).slice(0, 100));
  });
  pointAt(host, {
    find: (x, y) => {
      const [px, py] = pixels();
      const left = px.findLastIndex((each) => each <= x);
      if (left < 0 || left + 1 >= px.length) return null;
      const t = (x - px[left]) / (px[left + 1] - px[left]);
      let found = null, reach = 7;
      for (const run of drawn) {
        const line = heights.get(run), at = py(line[left] + t * (line[left + 1] - line[left]));
        if (Math.abs(at - y) < reach) { reach = Math.abs(at - y); found = { run, x, y: at }; }
      }
      return found;
    },
    walk: () => {
      const [px, py] = pixels();
      return [...drawn].reverse().map((run) => ({ run, x: px.at(-1), y: py(heights.get(run).at(-1)) }));
    },
    pick: pickRun,
  });
  return {
    refresh: (what) => {
      if (what === "theme") rulers.forEach(styleRuler);
      if (what !== "selection") { showBoxes(); showLines(); }
      if (what !== "filter") showSelected();
    },
    at: (i, share) => {  // where a place on an axis stands in the window
      const [px, py] = pixels(), box = host.getBoundingClientRect();
      return [box.left + px[i], box.top + py(share)];
    },
  };
});
