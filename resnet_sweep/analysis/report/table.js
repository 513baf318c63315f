// The table of runs: only the rows in sight exist.
const grid = byId("grid");
const body = byId("body");
const head = byId("head");
const OVERSCAN = 6;
const table = { active: 0, rowHeight: 26, isMeasured: false, hidden: new Set(), anchor: null };

const visibleColumns = () => columns.filter((column) => !table.hidden.has(column.name));

const makeHead = () => {
  head.replaceChildren(...visibleColumns().map((column, place) => {
    const cell = element("th", undefined, { scope: "col", role: "columnheader", "aria-colindex": place + 1 });
    if (column.kind === "number") cell.className = "number";
    const { order } = state;
    const isOrder = order.column === column;
    if (isOrder) cell.setAttribute("aria-sort", order.descending ? "descending" : "ascending");
    if (!column.sortable) {
      cell.textContent = column.name;
      cell.title = "the test set orders nothing";
      return cell;
    }
    const button = element("button", isOrder ? `${column.name} ${order.descending ? "▼" : "▲"}` : column.name, { type: "button" });
    button.addEventListener("click", () => {
      const first = column.kind === "number" && /accuracy|objective/.test(column.name);
      setOrder(column, isOrder ? !order.descending : first);
      head.querySelectorAll("th")[place]?.querySelector("button")?.focus({ preventScroll: true });
    });
    cell.append(button);
    return cell;
  }));
};

const spacer = (height) => {
  const row = element("tr", undefined, { class: "spacer", "aria-hidden": "true" });
  const cell = element("td", undefined, { colspan: visibleColumns().length });
  cell.style.height = `${height}px`;
  row.append(cell);
  return row;
};

const makeRow = (place, wanted) => {
  const run = state.shown[place];
  const row = element("tr", undefined, {
    role: "row", "aria-rowindex": place + 2, "aria-selected": state.selected.has(run), id: `row-${place}`,
  });
  if (place === table.active) row.className = "active";
  for (const column of wanted) {
    const text = textOf(column, run);
    const cell = element("td", text, { role: "gridcell" });
    if (column.kind === "number") cell.className = "number";
    if (column.name === "status") cell.dataset.status = text;
    if (text.length > 24) cell.title = text;
    row.append(cell);
  }
  row.addEventListener("click", (event) => {
    table.active = place;
    if (event.shiftKey && table.anchor !== null) select(between(table.anchor, place), { add: true });
    else if (event.ctrlKey || event.metaKey) { table.anchor = place; select([run], { toggle: true }); }
    else { table.anchor = place; select([run]); openRun(run); }
  });
  return row;
};
const between = (a, b) => state.shown.slice(Math.min(a, b), Math.max(a, b) + 1);

let rendering = false;
const renderTable = () => {
  rendering = false;
  const { shown } = state, { rowHeight } = table, wanted = visibleColumns();
  const first = Math.max(0, Math.floor(grid.scrollTop / rowHeight) - OVERSCAN);
  const last = Math.min(shown.length, Math.ceil((grid.scrollTop + grid.clientHeight) / rowHeight) + OVERSCAN);
  const rows = [spacer(first * rowHeight)];
  for (let place = first; place < last; place++) rows.push(makeRow(place, wanted));
  rows.push(spacer((shown.length - last) * rowHeight));
  body.replaceChildren(...rows);
  if (table.active >= first && table.active < last) grid.setAttribute("aria-activedescendant", `row-${table.active}`);
  else grid.removeAttribute("aria-activedescendant");
  if (!table.isMeasured && last > first) measureRow();
};
const measureRow = () => {  // once a size of the window: it makes the browser lay the page out
  const { height } = body.children[1].getBoundingClientRect();
  table.isMeasured = height > 0;
  if (!table.isMeasured || Math.abs(height - table.rowHeight) < 0.1) return;
  table.rowHeight = height;
  renderTable();
};
const renderLater = () => { if (!rendering) { rendering = true; requestAnimationFrame(renderTable); } };

const moveTo = (place) => {
  table.active = Math.max(0, Math.min(state.shown.length - 1, place));
  const top = table.active * table.rowHeight;
  const room = grid.clientHeight - head.getBoundingClientRect().height - table.rowHeight;
  if (top < grid.scrollTop) grid.scrollTop = top;
  else if (top > grid.scrollTop + room) grid.scrollTop = top - room;
  renderTable();
};
const showInTable = (run) => {
  const place = state.shown.indexOf(run);
  if (place >= 0) moveTo(place);
};

grid.addEventListener("scroll", renderLater, { passive: true });
addEventListener("resize", () => { table.isMeasured = false; renderLater(); });
grid.addEventListener("keydown", (event) => {
  if (event.target !== grid || event.ctrlKey || event.metaKey || event.altKey) return;
  const page = Math.max(1, Math.floor(grid.clientHeight / table.rowHeight) - 2), { active } = table, { shown } = state;
  const moves = {
    ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page,
    Home: 0, End: shown.length - 1,
  };
  if (event.key === "ArrowRight" || event.key === "ArrowLeft") grid.scrollLeft += event.key === "ArrowRight" ? 80 : -80;
  else if (event.key in moves) {
    moveTo(moves[event.key]);
    if (event.shiftKey && shown.length) select(between(active, table.active), { add: true });
  } else if (event.key === " " && shown.length) select([shown[active]], { toggle: true });
  else if (event.key === "Enter" && shown.length) { select([shown[active]], { add: state.selected.has(shown[active]) }); openRun(shown[active]); }
  else return;
  event.preventDefault();
});

onChange((what) => {
  if (what === "problem") return;
  if (what === "filter" || what === "order") {
    grid.setAttribute("aria-rowcount", state.shown.length + 1);
    table.active = 0;
    table.anchor = null;
    grid.scrollTop = 0;
  }
  if (what === "order" || what === "columns") makeHead();
  renderTable();
});
