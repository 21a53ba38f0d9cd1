// The parity report: filters the matrix, and opens a cell. The table is in the page already; what a
// cell holds is in the element #report-data, written by convbridge/parity/reports/html.py.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const table = document.querySelector(".matrix");

  /** Make an element; children are elements or text, never HTML. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  /** The symbol of a verdict, as in the matrix. */
  function swatch(verdict) {
    const [symbol, name] = data.symbols[verdict];
    return make("span", { class: `cell ${name}`, "aria-hidden": "true" }, symbol);
  }

  // ------------------------------------------------------------------ walking through a table

  const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

  /** Let the arrow keys, Home and End walk over what `selector` finds; Tab enters and leaves it in one step. */
  function walk(grid, selector) {
    const visible = (item) => item && !item.classList.contains("off");
    const itemOf = (field) => (field?.matches(selector) ? field : field?.querySelector(selector));
    const rows = () => [...grid.tBodies].flatMap((body) => [...body.rows]).filter((row) => !row.hidden && row.querySelector("td"));
    const items = (row) => [...row.cells].map(itemOf).filter(visible);
    const enter = (item) => {
      for (const other of grid.querySelectorAll(`${selector}[tabindex="0"]`)) other.tabIndex = -1;
      if (item) item.tabIndex = 0;
    };
    /** The next item in a direction, over gaps. */
    const next = (all, item, [down, right]) => {
      const field = item.closest("td");
      let row = all.indexOf(field.parentElement) + down;
      let column = field.cellIndex + right;
      for (; all[row]?.cells[column]; row += down, column += right) {
        const found = itemOf(all[row].cells[column]);
        if (visible(found)) return found;
      }
      return null;
    };
    grid.addEventListener("focusin", (event) => enter(event.target.closest(selector)));
    grid.addEventListener("keydown", (event) => {
      const item = event.target.closest(selector);
      if (!item || event.altKey || event.metaKey) return;
      const all = rows();
      let target = null;
      if (STEPS[event.key]) target = next(all, item, STEPS[event.key]);
      else if (event.key === "Home" || event.key === "End") {
        const line = event.ctrlKey ? all.flatMap(items) : items(item.closest("tr"));
        target = line.at(event.key === "Home" ? 0 : -1);
      } else return;
      event.preventDefault();
      target?.focus();
    });
    const reset = () => enter(rows().flatMap(items)[0]);
    reset();
    return reset;
  }

  // ------------------------------------------------------------------ filtering

  if (table) {
    const filters = document.querySelector(".filters");
    const status = filters.querySelector("[role=status]");
    const rows = [...table.querySelectorAll("tr[data-row]")];
    const resetWalk = walk(table, "button.cell");

    function filter() {
      const chosen = new FormData(filters);
      const words = chosen.get("words").toLowerCase().split(/\s+/).filter(Boolean);
      const verdicts = chosen.getAll("verdict");
      const kinds = chosen.getAll("kind");
      let shown = 0;
      for (const row of rows) {
        const name = data.rows[row.dataset.row].toLowerCase();
        let cells = 0;
        for (const cell of row.querySelectorAll(".cell")) {
          const wanted = verdicts.some((verdict) => cell.classList.contains(verdict));
          cell.classList.toggle("off", !wanted);
          cells += wanted;
        }
        row.hidden = !(cells && kinds.includes(row.dataset.kind) && words.every((word) => name.includes(word)));
        shown += !row.hidden;
      }
      for (const body of table.tBodies) body.hidden = !body.querySelector("tr[data-row]:not([hidden])");
      status.textContent = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
      resetWalk();
    }
    filters.addEventListener("input", filter);
    filters.addEventListener("reset", () => setTimeout(filter)); // after the boxes have changed
    filters.addEventListener("submit", (event) => event.preventDefault());
    filter();
  }

  // ------------------------------------------------------------------ arrays

  const SPECIAL = { nan: NaN, inf: Infinity, "-inf": -Infinity };
  const AXES = { N: "image", C: "channel", O: "output channel", I: "input channel" };
  const number = (value) => (typeof value === "string" ? SPECIAL[value] : value);

  /** What the page needs of an array; float32 is written with as few digits as tell it from its neighbours. */
  function read(array) {
    const narrow = array.dtype === "float32" || array.dtype === "bfloat16";
    const numbers = array.values.map((value) => (narrow ? Math.fround(number(value)) : number(value)));
    const steps = array.shape.map((_, axis) => array.shape.slice(axis + 1).reduce((a, b) => a * b, 1));
    return { ...array, numbers, steps, rest: (array.rest ?? []).map(number) };
  }

  /** The axis that runs down a plane and the one that runs along it; -1 if there is none. */
  function plane(array) {
    const down = array.axes.indexOf("H");
    return { down, along: down < 0 ? array.axes.length - 1 : array.axes.indexOf("W") };
  }

  /** The axes that a plane has not, and that hold more than one. */
  function otherAxes(array) {
    const { down, along } = plane(array);
    return [...array.axes].filter((_, axis) => axis !== down && axis !== along && array.shape[axis] > 1);
  }

  /** The place of an element, counted in all axes. */
  const place = (array, offset) => array.steps.map((step, axis) => Math.floor(offset / step) % array.shape[axis]);

  /** Few digits, for a table. */
  function short(value) {
    if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
    if (Number.isInteger(value) && Math.abs(value) < 1e5) return String(value);
    const size = Math.abs(value);
    return size >= 1e-3 && size < 1e5 ? String(Number(value.toPrecision(4))) : value.toExponential(1);
  }

  function share(fraction) {
    if (fraction === 0) return "0";
    if (!Number.isFinite(fraction)) return "≠";
    if (fraction < 0.005) return "<.01";
    return fraction < 100 ? String(Number(fraction.toPrecision(2))) : fraction.toExponential(0);
  }

  /** How far two results are apart, element by element; null where the shapes differ. */
  function compare(left, right, bound, factor) {
    if (!left || !right || String(left.shape) !== String(right.shape)) return null;
    const differences = left.numbers.map((a, i) => {
      const b = right.numbers[i];
      if ((Number.isNaN(a) && Number.isNaN(b)) || (a === b && !right.rest[i])) return 0;
      const difference = Math.abs(a - b - (right.rest[i] ?? 0));
      return Number.isNaN(difference) ? Infinity : difference;
    });
    const allowed = bound.numbers.map((b) => factor * b);
    return { differences, allowed, fractions: differences.map((d, i) => (d === 0 ? 0 : d / allowed[i])) };
  }

  // ------------------------------------------------------------------ planes of arrays

  /**
   * Draw one plane of an array as a table.
   * @param text, colour  what stands in an element, and how its field looks
   * @param seen          called with the element that the pointer or the keyboard is on
   */
  function drawPlane(title, array, picks, text, colour, seen) {
    const { down, along } = plane(array);
    const base = [...array.axes].reduce((sum, axis, i) => sum + (picks[axis] ?? 0) * array.steps[i] * (i !== down && i !== along), 0);
    const grid = make("table", { class: "plane", role: "grid", "aria-label": title });
    const columns = array.shape[along];
    const head = make("tr", {}, make("th", {}));
    for (let column = 0; column < columns; column += 1) head.append(make("th", { scope: "col" }, String(column)));
    const body = make("tbody");
    for (let row = 0; row < (down < 0 ? 1 : array.shape[down]); row += 1) {
      const line = make("tr", {}, make("th", { scope: "row" }, down < 0 ? "" : String(row)));
      for (let column = 0; column < columns; column += 1) {
        const offset = base + column * array.steps[along] + (down < 0 ? 0 : row * array.steps[down]);
        const field = make("td", { tabindex: "-1", "data-offset": offset }, text(offset));
        colour?.(field, offset);
        line.append(field);
      }
      body.append(line);
    }
    grid.append(make("thead", {}, head), body);
    for (const type of ["focusin", "mouseover"]) {
      grid.addEventListener(type, (event) => {
        const field = event.target.closest("td");
        if (field) seen?.(Number(field.dataset.offset));
      });
    }
    walk(grid, "td");
    return grid;
  }

  function figure(title, note, content) {
    return make("figure", {}, make("figcaption", {}, title, " ", make("small", {}, note)), make("div", { class: "scroll" }, content));
  }

  /** Selects for the axes that a plane has not; `changed` draws again. */
  function selects(array, picks, changed) {
    return otherAxes(array).map((axis) => {
      const select = make("select");
      for (let i = 0; i < array.shape[array.axes.indexOf(axis)]; i += 1) select.append(new Option(String(i), String(i)));
      select.value = String(picks[axis] ?? 0);
      select.addEventListener("change", () => {
        picks[axis] = Number(select.value);
        changed();
      });
      return make("label", {}, AXES[axis] ?? axis, select);
    });
  }

  const describe = (array) => `${array.dtype} (${array.shape.join(", ")})`;

  /** An array with its own selects. */
  function inputFigure(name, raw) {
    const array = read(raw);
    if (!array.values.length || !array.axes) return figure(name, describe(array), "no elements to show");
    const picks = {};
    const box = make("div");
    const draw = () => box.replaceChildren(drawPlane(name, array, picks, (offset) => short(array.numbers[offset])));
    draw();
    return figure(name, describe(array), make("div", {}, make("div", { class: "choices" }, ...selects(array, picks, draw)), box));
  }

  /** The results of both sides, their difference over the bound, and below them the numbers of one element. */
  function resultFigures(column, result, found) {
    const outputs = Object.fromEntries(
      Object.entries(found.outputs).map(([name, array]) => [name, read(array.as ? found.outputs[array.as] : array)])
    );
    const value = read(found.value);
    const left = outputs[column.left];
    const right = column.exact ? value : outputs[column.right];
    const compared = compare(left, right, read(found.bound), column.exact ? 1 : 2);
    const box = make("div");
    const arrays = [
      [column.left, left],
      [column.exact ? "exact result" : column.right, right],
      ...(column.exact ? [] : [["exact result", value]]),
    ].filter(([, array]) => array);
    if (!compared || !value.values.length || !value.axes) {
      // nothing to subtract: each as it is
      box.append(make("div", { class: "figures" }, ...arrays.map(([name, array]) => inputFigure(name, array))));
      return box;
    }
    const { fractions, differences, allowed } = compared;
    const worst = fractions.reduce((best, fraction, i) => (fraction > fractions[best] ? i : best), 0);
    const picks = Object.fromEntries(place(value, worst).map((index, axis) => [value.axes[axis], index]));
    const element = make("dl", { class: "element" });
    const figures = make("div", { class: "figures" });

    function show(offset) {
      for (const field of figures.querySelectorAll("td")) {
        field.classList.toggle("marked", Number(field.dataset.offset) === offset);
      }
      const lines = [
        ["element", `${result}[${place(value, offset).join(", ")}]`],
        ...arrays.map(([name, array]) => [name, String(array.values[offset])]),
        ["difference", differences[offset] === 0 ? "0" : differences[offset].toPrecision(3)],
        ["bound", found.exact ? "0: it has to be equal, bit for bit" : allowed[offset].toPrecision(3)],
        ["fraction of the bound", share(fractions[offset])],
      ];
      element.replaceChildren(...lines.flatMap(([term, text]) => [make("dt", {}, term), make("dd", {}, text)]));
    }
    function heat(field, offset) {
      const fraction = fractions[offset];
      field.style.setProperty("--used", Math.min(fraction, 1));
      if (fraction > 1) field.classList.add("beyond");
      else if (fraction < 0.5) field.classList.add("low");
    }
    function draw() {
      const map = drawPlane("difference over bound", value, picks, (offset) => share(fractions[offset]), heat, show);
      map.classList.add("heat");
      figures.replaceChildren(
        figure("difference / bound", found.exact ? "has to be 0" : "1 is all that rounding explains", map),
        element,
        ...arrays.map(([name, array]) =>
          figure(name, describe(array), drawPlane(name, array, picks, (offset) => short(array.numbers[offset]), null, show))
        )
      );
    }
    draw();
    show(worst);
    box.append(make("div", { class: "choices" }, ...selects(value, picks, draw)), figures);
    return box;
  }

  // ------------------------------------------------------------------ the call in Python

  const PYTHON = { nan: "np.nan", inf: "np.inf", "-inf": "-np.inf" };

  /** Nested lists as Python writes them, a row a line. */
  function literal(array, axis = 0, offset = 0, indent = "") {
    if (axis === array.shape.length) {
      const value = array.values[offset];
      return PYTHON[value] ?? (Object.is(value, -0) ? "-0.0" : String(value));
    }
    const step = array.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
    const parts = Array.from({ length: array.shape[axis] }, (_, i) => literal(array, axis + 1, offset + i * step, `${indent} `));
    return `[${parts.join(axis === array.shape.length - 1 ? ", " : `,\n${indent} `)}]`;
  }

  function python(column, described, inputs) {
    const lines = ["import numpy as np", "", "import convbridge"];
    for (const module of ["chapter", "registry"]) {
      if (described.call.includes(`convbridge.${module}`)) lines.push(`import convbridge.${module}`);
    }
    lines.push("");
    for (const [name, array] of Object.entries(inputs)) {
      const dtype = array.dtype === "bfloat16" ? "float32" : array.dtype;
      const values = array.values.length ? `np.array(${literal(array)}` : `np.zeros((${array.shape.join(", ")},)`;
      lines.push(`${name} = ${values}, dtype="${dtype}")`);
    }
    lines.push("", `for BACKEND in ${JSON.stringify(column.backends)}:`);
    if (described.call.includes("bfloat16(")) {
      lines.push("    def bfloat16(array):", '        return convbridge.asarray(array, dtype="bfloat16", backend=BACKEND)', "");
    }
    lines.push(`    print(BACKEND, ${described.call})`);
    return lines.join("\n");
  }

  /** Text with a button that copies it. */
  function copyable(text, label) {
    const code = make("code", {}, text);
    const button = make("button", { type: "button", "aria-label": `Copy ${label}` }, "Copy");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code); // not allowed for a file in some browsers: Ctrl+C copies it
        button.textContent = "Selected";
      }
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
    return make("div", { class: "with-copy" }, make("pre", { tabindex: "0", "aria-label": label }, code), button);
  }

  // ------------------------------------------------------------------ the panel

  const panel = document.getElementById("panel");
  const body = document.getElementById("panel-body");

  /** What is known of one comparison. */
  function showCase(column, [name, result]) {
    const described = data.cases[name];
    const found = data.details[name];
    const part = make("section", { id: "case", "aria-labelledby": "case-title" });
    part.append(make("h3", { id: "case-title" }, `${name}: ${result}`));
    part.append(make("h4", {}, "See it again"), copyable(`convbridge parity --only ${described.shell} ${column.options}`, "the command"));
    if (found?.results[result]) {
      part.append(make("h4", {}, `The result ${result}`), resultFigures(column, result, found.results[result]));
    }
    if (found) {
      const figures = Object.entries(found.inputs).map(([argument, array]) => inputFigure(argument, array));
      part.append(make("h4", {}, "The inputs, as they are computed with"), make("div", { class: "figures" }, ...figures));
    }
    part.append(make("h4", {}, "The call"));
    part.append(copyable(found ? python(column, described, found.inputs) : described.call, "the call in Python"));
    const passed = Object.entries(described.arguments).map(([argument, note]) => make("li", {}, make("code", {}, argument), `: ${note}`));
    part.append(make("p", { class: "muted small" }, "The run passed, and computed in ", described.dtype, ":"), make("ul", { class: "small" }, ...passed));
    if (!found?.results[result]) {
      part.append(make("p", { class: "muted" }, "The numbers of this case are not in this file; the command shows the case again."));
    }
    return part;
  }

  function open(key) {
    const [row, columnIndex] = key.split("-").map(Number);
    const column = data.columns[columnIndex];
    const cell = data.cells[key];
    document.getElementById("panel-title").replaceChildren(data.rows[row], make("small", {}, column.title));
    const counts = cell.counts.map(([verdict, count, words]) =>
      make("li", {}, swatch(verdict), make("span", {}, `${count} ${verdict}`, words ? `: ${words}` : ""))
    );
    body.replaceChildren(make("ul", { class: "counts", "aria-label": `${cell.total} results` }, ...counts));
    if (cell.reasons.length) {
      body.append(make("ul", { class: "small" }, ...cell.reasons.map(([count, reason]) => make("li", {}, `${count}: ${reason}`))));
    }
    const list = make("ul", { class: "comparisons" });
    const unlisted = cell.unlisted === "0" ? "" : ` ${cell.unlisted} more failures are not listed.`;
    body.append(
      make("h3", {}, "One by one"),
      make("p", { class: "muted small" }, `Of ${cell.total} results: failures, and what came closest to its bound.${unlisted}`),
      list,
      make("section", { id: "case" })
    );
    const choose = (button, shown) => {
      for (const other of list.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
      document.getElementById("case").replaceWith(showCase(column, shown));
    };
    for (const shown of cell.shown) {
      const [name, result, verdict, words] = shown;
      const button = make("button", { type: "button", "aria-pressed": "false", "data-case": name });
      button.append(swatch(verdict), make("span", {}, make("strong", {}, `${name} ${result}`), make("span", { class: "small muted" }, words)));
      button.addEventListener("click", () => choose(button, shown));
      list.append(make("li", {}, button));
    }
    if (cell.shown.length) choose(list.querySelector("button"), cell.shown[0]);
    panel.showModal();
    panel.scrollTop = 0;
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-cell], .matrix button.cell");
    if (!button) return;
    button.focus(); // some browsers focus no button that is clicked, and the panel returns to what had the focus
    open(button.dataset.cell ?? button.id.replace("cell-", ""));
  });
  document.getElementById("panel-close").addEventListener("click", () => panel.close());
  panel.addEventListener("click", (event) => {
    if (event.target === panel && event.clientX < panel.getBoundingClientRect().left) panel.close(); // the backdrop
  });
})();
