"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const columns = data.columns;
  const columnOf = new Map(columns.map((column) => [column.name, column]));
  const numRuns = data.counts.length;
  const OVERSCAN = 10;

  // A curve starts where those before it end: 16-bit epochs, then 16-bit floats a series.
  const starts = [0];
  for (const count of data.counts) starts.push(starts.at(-1) + 2 * count * (1 + data.series.length));

  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  const valueOf = (column, run) =>
    column.kind === "text" ? (column.codes[run] < 0 ? null : column.levels[column.codes[run]]) : column.values[run];

  const integers = new Intl.NumberFormat("en");  // toLocaleString makes one for each number
  const format = (column, value) => {
    if (value === null) return "–";
    if (typeof value === "string") return value;
    if (column.name.endsWith("_accuracy") || column.name === "objective") return value.toFixed(4);
    if (Number.isInteger(value)) return column.name === "seed" ? String(value) : integers.format(value);
    if (column.name.endsWith("_seconds")) return value.toFixed(1);
    return String(Number(value.toPrecision(6)));
  };
  const textOf = (column, run) => format(column, valueOf(column, run));

  // ---- filter and sort ----
  let shown = Array.from({ length: numRuns }, (_, run) => run);
  let order = null;
  const searchTexts = new Array(numRuns);
  const searchText = (run) =>
    (searchTexts[run] ??= columns.map((column) => textOf(column, run)).join("\n").toLowerCase());

  // With a sign or a list it is a condition, as of --where; else words to look for.
  const holdsFor = (text) => {
    if (/[<>=]|\bin\s*\(/i.test(text)) return readCondition(text, columnOf, valueOf);
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    return (run) => words.every((word) => searchText(run).includes(word));
  };

  const compareRuns = ({ column, descending }) => {
    const rank = (run) => valueOf(column, run);
    return (a, b) => {
      const [x, y] = [rank(a), rank(b)];
      const [noX, noY] = [x === null || x === "NaN", y === null || y === "NaN"];
      if (noX || noY) return noX - noY || a - b;
      const less = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
      return (descending ? -less : less) || a - b;
    };
  };

  const update = () => {
    let holds;
    try { holds = holdsFor(byId("filter").value); } catch (error) {
      byId("shown").textContent = `not filtered: ${error.message}`;
      byId("filter").setAttribute("aria-invalid", "true");
      return;
    }
    byId("filter").removeAttribute("aria-invalid");
    shown = [];
    for (let run = 0; run < numRuns; run++) if (holds(run)) shown.push(run);
    if (order) shown.sort(compareRuns(order));
    byId("shown").textContent = `${shown.length.toLocaleString("en")} of ${numRuns.toLocaleString("en")} runs`;
    grid.setAttribute("aria-rowcount", shown.length + 1);
    active = Math.max(0, Math.min(active, shown.length - 1));
    grid.scrollTop = 0;
    active = 0;
    render();
  };

  // ---- table: only the rows in sight exist ----
  const grid = byId("grid");
  const body = byId("body");
  let active = 0;
  let rowHeight = 28;

  const head = byId("head");
  columns.forEach((column, place) => {
    const cell = element("th", undefined, { scope: "col", role: "columnheader", "aria-colindex": place + 1 });
    if (!column.sortable) {
      cell.textContent = column.name;
      cell.title = "the test set orders nothing";
    } else {
      const button = element("button", column.name, { type: "button" });
      button.addEventListener("click", () => sortBy(column));
      cell.append(button);
    }
    head.append(cell);
  });

  const sortBy = (column) => {
    const again = order && order.column === column;
    const first = column.kind === "number" && /accuracy|objective/.test(column.name);
    order = { column, descending: again ? !order.descending : first };
    [...head.children].forEach((cell, place) => {
      if (columns[place] !== column) return cell.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", order.descending ? "descending" : "ascending");
    });
    for (const button of head.querySelectorAll("button")) {
      const name = button.textContent.replace(/ [▲▼]$/, "");
      button.textContent = name === column.name ? `${name} ${order.descending ? "▼" : "▲"}` : name;
    }
    update();
  };

  const spacer = (height) => {
    const row = element("tr", undefined, { class: "spacer", "aria-hidden": "true" });
    const cell = element("td", undefined, { colspan: columns.length });
    cell.style.height = `${height}px`;
    row.append(cell);
    return row;
  };

  const makeRow = (place) => {
    const run = shown[place];
    const row = element("tr", undefined, {
      role: "row", "aria-rowindex": place + 2, "aria-selected": place === active, id: `row-${place}`,
    });
    for (const column of columns) {
      const text = textOf(column, run);
      const cell = element("td", text, { role: "gridcell" });
      if (column.kind === "number") cell.className = "number";
      if (text.length > 30) cell.title = text;
      row.append(cell);
    }
    row.addEventListener("click", () => { active = place; render(); openRun(run); });
    return row;
  };

  let rendering = false;
  const render = () => {
    rendering = false;
    const first = Math.max(0, Math.floor(grid.scrollTop / rowHeight) - OVERSCAN);
    const last = Math.min(shown.length, Math.ceil((grid.scrollTop + grid.clientHeight) / rowHeight) + OVERSCAN);
    const rows = [spacer(first * rowHeight)];
    for (let place = first; place < last; place++) rows.push(makeRow(place));
    rows.push(spacer((shown.length - last) * rowHeight));
    body.replaceChildren(...rows);
    if (active >= first && active < last) grid.setAttribute("aria-activedescendant", `row-${active}`);
    else grid.removeAttribute("aria-activedescendant");
    const measured = body.children[1]?.getBoundingClientRect().height;
    if (last > first && measured && Math.abs(measured - rowHeight) > 0.1) { rowHeight = measured; render(); }
  };
  const later = () => { if (!rendering) { rendering = true; requestAnimationFrame(render); } };

  const moveTo = (place) => {
    active = Math.max(0, Math.min(shown.length - 1, place));
    const top = active * rowHeight;
    const room = grid.clientHeight - head.getBoundingClientRect().height - rowHeight;
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (top > grid.scrollTop + room) grid.scrollTop = top - room;
    render();
  };

  grid.addEventListener("scroll", later, { passive: true });
  addEventListener("resize", later);
  grid.addEventListener("keydown", (event) => {
    if (event.target !== grid) return;
    const page = Math.max(1, Math.floor(grid.clientHeight / rowHeight) - 2);
    const moves = {
      ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page,
      Home: 0, End: shown.length - 1,
    };
    if (event.key in moves) moveTo(moves[event.key]);
    else if ((event.key === "Enter" || event.key === " ") && shown.length) openRun(shown[active]);
    else return;
    event.preventDefault();
  });
  let waiting = 0;
  byId("filter").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(update, 80); });

  // ---- one run ----
  const halfFloat = (bits) => {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
  };

  const curvesOf = (run) => {
    const count = data.counts[run], start = starts[run], end = starts[run + 1];
    const skip = start % 3;
    const text = byId("curves").firstChild?.substringData(((start - skip) / 3) * 4, Math.ceil((end - start + skip) / 3) * 4) ?? "";
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const number = (place) => bytes[skip + 2 * place] | (bytes[skip + 2 * place + 1] << 8);
    const found = { epoch: Array.from({ length: count }, (_, i) => number(i)) };
    data.series.forEach((name, s) => {
      found[name] = Array.from({ length: count }, (_, i) => halfFloat(number((s + 1) * count + i)));
    });
    return found;
  };

  const SVG = "http://www.w3.org/2000/svg";
  const shape = (name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const chart = (curves, kind, label) => {
    const width = 400, height = 240, left = 52, right = 12, top = 24, bottom = 34;
    const series = ["train", "val"].map((part) => [part, curves[`${part}_${kind}`]]);
    const finite = series.flatMap(([, values]) => values).filter(Number.isFinite);
    const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${label} over epochs` });
    svg.append(shape("text", { x: left, y: 14 }, label));
    svg.append(shape("path", { class: "axis", d: `M${left} ${top}V${height - bottom}H${width - right}` }));
    if (!finite.length) {
      svg.append(shape("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "no finite values"));
      return svg;
    }
    const low = Math.min(...finite), high = Math.max(...finite), span = high - low || 1;
    const epochs = curves.epoch, firstEpoch = epochs[0], lastEpoch = epochs.at(-1);
    const x = (epoch) => left + ((epoch - firstEpoch) / (lastEpoch - firstEpoch || 1)) * (width - left - right);
    const y = (value) => height - bottom - ((value - low) / span) * (height - top - bottom);
    for (const value of [low, (low + high) / 2, high])
      svg.append(shape("text", { x: left - 5, y: y(value) + 4, "text-anchor": "end" }, value.toPrecision(3)));
    svg.append(shape("text", { x: left, y: height - 18, "text-anchor": "middle" }, firstEpoch));
    svg.append(shape("text", { x: width - right, y: height - 18, "text-anchor": "end" }, lastEpoch));
    svg.append(shape("text", { x: (left + width) / 2, y: height - 4, "text-anchor": "middle" }, "epoch"));
    series.forEach(([part, values], place) => {
      let path = "", pen = "M";
      values.forEach((value, i) => {
        if (!Number.isFinite(value)) { pen = "M"; return; }
        path += `${pen}${x(epochs[i]).toFixed(1)} ${y(value).toFixed(1)}`;
        pen = "L";
      });
      if (path) svg.append(shape("path", { class: part, d: epochs.length > 1 ? path : `${path}h4` }));
      const name = part === "val" ? "validation" : "training";
      svg.append(shape("text", { x: width - right - 70 * (1 - place), y: 14, "text-anchor": "end", class: `${part}-label` }, name));
    });
    return svg;
  };

  const list = (pairs) => {
    const made = element("dl", undefined, { class: "values" });
    for (const [name, text] of pairs) {
      const row = element("div");
      row.append(element("dt", name), element("dd", text));
      made.append(row);
    }
    return made;
  };

  const openRun = (run) => {
    const settings = new Set(data.settings);
    const pairs = (wanted) =>
      columns.filter((column) => column.name !== "run" && settings.has(column.name) === wanted)
        .map((column) => [column.name, textOf(column, run)]).filter(([, text]) => text !== "–");
    byId("detail-title").textContent = textOf(columnOf.get("run"), run);
    const content = [list(pairs(false))];
    if (data.counts[run]) {
      const curves = curvesOf(run);
      const charts = element("div", undefined, { class: "charts" });
      charts.append(chart(curves, "accuracy", "accuracy (fraction)"), chart(curves, "loss", "cross-entropy (nats)"));
      content.push(charts);
      if (data.counts[run] >= data.curveLimit) content.push(element("p", `at most ${data.curveLimit} epochs are drawn`, { class: "help" }));
    } else content.push(element("p", "no epochs were recorded", { class: "absent" }));
    content.push(element("h3", "Settings that differ between runs"), list(pairs(true)));
    const more = element("details");
    more.append(element("summary", "Settings that all runs share"), list(Object.entries(data.shared)));
    content.push(more);
    byId("detail-body").replaceChildren(...content);
    byId("detail").showModal();
    byId("detail").scrollTop = 0;
  };
  byId("detail").addEventListener("close", () => grid.focus());

  const objective = columnOf.get("val_accuracy") ?? columns[0];
  sortBy(objective);
})();
