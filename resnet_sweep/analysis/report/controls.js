// The filter: written, or clicked together from columns; its conditions as chips; which columns show.
const box = byId("filter");
let waiting = 0;
box.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => setFilter(box.value), 80); });

const showFilter = () => {
  if (document.activeElement !== box || state.filter !== box.value) box.value = state.filter;
  if (state.problem) {
    byId("shown").textContent = `not filtered: ${state.problem}`;
    return box.setAttribute("aria-invalid", "true");
  }
  box.removeAttribute("aria-invalid");
  byId("shown").textContent = `${state.shown.length.toLocaleString("en")} of ${numRuns.toLocaleString("en")} runs`;
  const pieces = piecesOf(state.filter);
  byId("chips").replaceChildren(...pieces.map((piece, i) => {
    const chip = element("span", undefined, { class: "chip" }), remove = element("button", "×", { type: "button", "aria-label": `remove ${piece}` });
    const parts = partsOf(piece);
    if (parts) {
      const edit = element("button", piece, { type: "button", title: "change" });
      edit.addEventListener("click", () => openAdding(parts.name));
      chip.append(edit);
    } else chip.append(element("span", piece));
    remove.addEventListener("click", () => {
      setFilter(pieces.filter((_, k) => k !== i).map(wrapped).join(" and "));
      (byId("chips").querySelector("button") ?? box).focus();
    });
    chip.append(remove);
    return chip;
  }));
};

// ---- a condition on a column: least and most of a number, boxes for a choice ----
const adding = byId("adding"), addButton = byId("add");
const MAX_BOXES = 40;
const numberField = (name, label, text) => {
  const field = element("label", `${label} `), input = element("input", undefined, { type: "number", step: "any", name });
  if (text !== undefined) input.value = text;
  field.append(input);
  return field;
};
const fieldsOf = (column) => {
  const parts = piecesOf(state.filter).map(partsOf).filter((each) => each?.name === column.name);
  if (column.kind === "number") {
    const given = (...signs) => parts.find(({ sign }) => signs.includes(sign))?.value;
    return [numberField("least", "at least", given(">=", ">")), numberField("most", "at most", given("<=", "<"))];
  }
  const wanted = new Set(parts.flatMap(({ value }) => listOf(value)));
  const hasNone = column.codes.some((code) => code < 0);
  const levels = [...column.levels].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const choices = levels.filter((level) => quoted(level) !== null).slice(0, MAX_BOXES).map((level) => [level, level]);
  if (hasNone) choices.push(["null", "none"]);
  const set = element("fieldset");
  set.append(element("legend", levels.length > MAX_BOXES ? `the first ${MAX_BOXES} of ${levels.length} values` : "any of"), ...choices.map(([value, text]) => {
    const label = element("label"), input = element("input", undefined, { type: "checkbox", name: "level", value });
    input.checked = wanted.has(value);
    label.append(input, ` ${text.length > 40 ? `${text.slice(0, 39)}…` : text}`);
    return label;
  }));
  return [set];
};
const closeAdding = () => {
  adding.hidden = true;
  addButton.setAttribute("aria-expanded", "false");
  addButton.focus({ preventScroll: true });
};
const openAdding = (name) => {
  const choice = element("select", undefined, { name: "column", "aria-label": "column" });
  for (const column of columns) if (column.sortable && column.name !== "run") choice.append(element("option", column.name, { value: column.name }));
  choice.value = columnOf.get(name)?.sortable ? name : objective.name;
  const fields = element("span", undefined, { class: "fields" });
  const fill = () => fields.replaceChildren(...fieldsOf(columnOf.get(choice.value)));
  choice.addEventListener("change", fill);
  fill();
  const cancel = element("button", "Cancel", { type: "button" });
  cancel.addEventListener("click", closeAdding);
  adding.replaceChildren(choice, fields, element("button", "Apply", { type: "submit" }), cancel);
  adding.hidden = false;
  addButton.setAttribute("aria-expanded", "true");
  (fields.querySelector("input") ?? choice).focus({ preventScroll: true });
};
addButton.addEventListener("click", () => (adding.hidden ? openAdding() : closeAdding()));
adding.addEventListener("keydown", (event) => { if (event.key === "Escape") { closeAdding(); event.stopPropagation(); } });
adding.addEventListener("submit", (event) => {
  event.preventDefault();
  const column = columnOf.get(adding.elements.column.value), conditions = [];
  if (column.kind === "number") {
    if (adding.elements.least.value) conditions.push(`${column.name}>=${adding.elements.least.value}`);
    if (adding.elements.most.value) conditions.push(`${column.name}<=${adding.elements.most.value}`);
  } else {
    const chosen = [...adding.querySelectorAll("input:checked")].map((input) => (input.value === "null" ? null : input.value));
    if (chosen.length) conditions.push(conditionIn(column.name, chosen));
  }
  constrain(column.name, conditions);
  closeAdding();
});

const showSelection = () => {
  const count = state.selected.size;
  byId("selection").hidden = !count;
  byId("selected").textContent = count === 1 ? `${nameOf([...state.selected][0])} is selected` : `${count.toLocaleString("en")} runs are selected`;
};
byId("clear").addEventListener("click", () => { select([]); box.focus({ preventScroll: true }); });
byId("only").addEventListener("click", () => {
  const names = [...state.selected].map(nameOf).filter((name) => quoted(name) !== null);
  constrain("run", [conditionIn("run", names)]);
});

// ---- columns ----
const applyHidden = () => { changed("columns"); keep(); };
const makeColumnMenu = () => {
  byId("columns").replaceChildren(...columns.slice(1).map((column) => {
    const label = element("label"), input = element("input", undefined, { type: "checkbox", value: column.name });
    input.checked = !table.hidden.has(column.name);
    input.addEventListener("change", () => {
      if (input.checked) table.hidden.delete(column.name); else table.hidden.add(column.name);
      applyHidden();
    });
    label.append(input, ` ${column.name}`);
    return label;
  }));
};

onChange((what) => {
  if (what === "filter" || what === "problem") showFilter();
  if (what === "selection") showSelection();
  keep();
});
