/* Grids of numbers: tables whose cells are reached by the arrow keys. What may live here: one grid at a time. */
const grids = (() => {
  /** A number as it fits into a cell; the whole of it is the cell's title. */
  function digits(value) {
    const rounded = [value.toPrecision(3), value.toFixed(3), value.toFixed(2)].map(Number);
    const texts = [words.short(value), ...rounded.filter((number) => number || !value).map(String)];
    return texts.find((text) => text.replace("-", "").length <= 5) ?? value.toExponential(0);
  }
  const isLong = (text) => text.length > 4;

  /** The numbers from first to below end. */
  const span = (first, end) => engine.range(end - first).map((i) => i + first);

  /**
   * A grid under its name. `cell(i, j)` returns a table cell; `key` tells the grid from all others of the explorer.
   * One of its cells is a stop for the tab key, the arrow keys do the rest.
   */
  function grid(name, rows, columns, cell) {
    const cells = new Map();
    const body = rows.map((i) =>
      make(
        "tr",
        {},
        columns.map((j) => {
          const made = cell(i, j);
          made.dataset.at = `${i},${j}`;
          cells.set(made.dataset.at, made);
          return made;
        }),
      ),
    );
    const table = make("table", { class: "grid", role: "grid", "aria-label": name }, make("tbody", {}, ...body));
    // small numbers beside large ones would look like a difference
    table.classList.toggle(
      "long",
      [...cells.values()].some((made) => made.classList.contains("long")),
    );
    table.addEventListener("keydown", walk);
    table.addEventListener("focusin", (event) => stop(table, event.target));
    const stops = reachable(table);
    if (stops.length) stop(table, stops[0]);
    return { figure: make("figure", {}, make("figcaption", {}, name), table), cells };
  }

  const reachable = (table) => [...table.querySelectorAll("input, td[tabindex]")];

  /** Let the tab key stop at one cell of a grid. */
  function stop(table, wanted) {
    for (const cell of reachable(table)) cell.tabIndex = cell === wanted ? 0 : -1;
  }

  const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

  /** Move the focus; inside of a text the arrows left and right belong to the text. */
  function walk(event) {
    const { key, target, currentTarget } = event;
    if (event.altKey || event.ctrlKey || event.metaKey || !(key in STEPS)) return;
    if (target instanceof HTMLInputElement) {
      const all = target.selectionEnd - target.selectionStart === target.value.length;
      if (key === "ArrowLeft" && !all && target.selectionStart > 0) return;
      if (key === "ArrowRight" && !all && target.selectionEnd < target.value.length) return;
    }
    event.preventDefault();
    const [i, j] = target.closest("td").dataset.at.split(",").map(Number);
    const [di, dj] = STEPS[key];
    const next = currentTarget.querySelector(`td[data-at="${i + di},${j + dj}"]`);
    const goal = next && (next.querySelector("input") ?? (next.hasAttribute("tabindex") ? next : null));
    if (goal) goal.focus();
  }

  /** A cell to type a number into. `set` gets the number; `fail` gets a text that is none. */
  function editable(name, value, set, fail) {
    const input = make("input", {
      ...{ type: "text", value: digits(value), "aria-label": name, autocomplete: "off", spellcheck: "false" },
      onfocus: () => {
        if (!input.hasAttribute("aria-invalid"))
          input.value = Number.isNaN(value) ? "nan" : words.isShort(value) ? words.short(value) : String(value);
        input.select();
      },
      onblur: () => {
        if (!input.hasAttribute("aria-invalid")) input.value = digits(value);
      },
      oninput: () => {
        const number = words.parse(input.value);
        if (number === null) {
          input.setAttribute("aria-invalid", "true");
          fail(input.value);
        } else {
          input.removeAttribute("aria-invalid");
          value = number;
          set(number);
        }
      },
    });
    const title = words.isShort(value) ? null : String(value);
    return make("td", { class: isLong(digits(value)) ? "long" : null, title }, input);
  }

  /** A cell that shows a number. */
  function shown(name, value, attributes = {}) {
    const [text, title] = [digits(value), words.isShort(value) ? null : String(value)];
    return make("td", { class: isLong(text) ? "long" : null, "aria-label": name, title, ...attributes }, text);
  }

  return { editable, grid, shown, span };
})();
