/* Curves over steps on a logarithmic axis, as inline SVG. What may live here: drawing, not what the curves mean.
 *
 * Curves that coincide are all seen: the first is the widest, each further one thinner and dashed in its own way, and
 * each has its name beside it. Colours are in the style sheet, by the curve's number.
 */
const chart = (() => {
  const HEIGHT = 260;
  const BORDER = { top: 12, bottom: 40, left: 56, right: 152 };
  const NARROW = 460; // there the names stand below, two in a row
  const WIDTHS = [11, 7, 3.5, 1.5];
  const DASHES = ["", "18 8", "7 7", "2 5"];

  // from the parser: the page holds no address of the network, not even one that nobody asks
  const { namespaceURI } = new DOMParser().parseFromString("<svg></svg>", "text/html").body.firstChild;

  function svg(tag, attributes = {}, ...children) {
    const element = document.createElementNS(namespaceURI, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children.flat());
    return element;
  }

  const drawable = (value) => Number.isFinite(value) && value > 0;

  /** The powers of ten to write at the axis, at most eight. */
  function decades(values) {
    const logs = values.map(Math.log10);
    let [low, high] = [Math.floor(Math.min(...logs)), Math.ceil(Math.max(...logs))];
    if (low === high) [low, high] = [low - 1, high + 1];
    const every = Math.ceil((high - low) / 7);
    return { low, high, ticks: engine.range(Math.floor((high - low) / every) + 1).map((i) => low + i * every) };
  }

  const styleOf = (number) => ({
    class: `curve curve-${number % 4}`,
    "stroke-width": WIDTHS[Math.min(number, WIDTHS.length - 1)],
    "stroke-dasharray": DASHES[number % 4] || "none",
  });

  /** Power of ten as text: 0.001, 1, 10³⁰. */
  function power(exponent) {
    if (Math.abs(exponent) <= 3) return String(Number(`1e${exponent}`));
    return `10${[...String(exponent)].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit] ?? "⁻").join("")}`;
  }

  /** The steps to write below the axis: the first, the last, round ones between. */
  function marks(count, room) {
    const every = [1, 2, 5, 10, 20, 50].find((size) => count / size <= Math.min(10, room / 30)) ?? 100;
    return engine
      .range(count)
      .map((i) => i + 1)
      .filter((step) => step === 1 || (step % every === 0 && step > 0.7 * every + 1));
  }

  /**
   * Draw into an element: curves as [{ name, values }], `at` the step that is marked, `label` for those who do not see
   * it, `axis` below it, `go` called with the step that is pointed at. Without a number that a logarithm has, nothing.
   */
  function draw(root, { curves, at, label, axis, go }) {
    const positive = curves.flatMap(({ values }) => values).filter(drawable);
    if (!positive.length) return root.replaceChildren();
    const count = curves[0].values.length;
    const width = Math.max(root.clientWidth, 260);
    const narrow = width < NARROW;
    const [right, bottom] = [width - (narrow ? 12 : BORDER.right), HEIGHT - BORDER.bottom];
    const height = HEIGHT + (narrow ? 12 + 20 * Math.ceil(curves.length / 2) : 0);
    const { low, high, ticks } = decades(positive);
    const x = (step) => BORDER.left + (right - BORDER.left) * (count === 1 ? 0.5 : step / (count - 1));
    const y = (value) => bottom - ((bottom - BORDER.top) * (Math.log10(value) - low)) / (high - low);
    const line = (x1, y1, x2, y2, kind) => svg("line", { x1, y1, x2, y2, class: kind });
    const text = (x, y, kind, words) => svg("text", { x, y, class: kind }, words);

    const grid = ticks.flatMap((tick) => {
      const level = y(10 ** tick);
      return [line(BORDER.left, level, right, level, "rule"), text(BORDER.left - 8, level + 4, "end", power(tick))];
    });
    const steps = marks(count, right - BORDER.left).map((step) =>
      text(x(step - 1), bottom + 18, "middle", String(step)),
    );
    const paths = curves.map(({ values }, number) => {
      let path = "";
      values.forEach((value, step) => {
        if (drawable(value)) path += `${path && drawable(values[step - 1]) ? "L" : "M"}${x(step)},${y(value)}`;
      });
      return svg("path", { d: path, ...styleOf(number) });
    });
    // the names stand at the right, as near to the curves' ends as they fit
    const ends = curves.map(({ values }) => {
      const last = values.findLastIndex(drawable);
      return last < 0 ? null : [x(last), y(values[last])];
    });
    const lowest = bottom - 20 * curves.length + 14;
    const first = Math.min(
      Math.max((ends.find(Boolean) ?? [0, 0])[1] - 10 * (curves.length - 1), BORDER.top + 6),
      lowest,
    );
    const names = curves.flatMap(({ name }, number) => {
      const level = narrow ? HEIGHT + 12 + 20 * Math.floor(number / 2) : first + 20 * number;
      const start = narrow ? 16 + (number % 2) * (width / 2) : right + 22;
      const sample = svg("line", { x1: start, x2: start + 24, y1: level, y2: level, ...styleOf(number) });
      const leader = ends[number] && !narrow ? [line(...ends[number], start - 2, level, "leader")] : [];
      return [...leader, sample, text(start + 30, level + 4, "name", name)];
    });
    const values = curves[0].values;
    const mark = [line(x(at), BORDER.top, x(at), bottom, "mark")];
    if (drawable(values[at])) mark.push(svg("circle", { cx: x(at), cy: y(values[at]), r: 6, class: "mark" }));
    const title = text((BORDER.left + right) / 2, HEIGHT - 2, "middle", axis);
    const picture = svg(
      "svg",
      { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "chart" },
      ...[grid, steps, title, paths, mark, names].flat(),
    );
    picture.addEventListener("click", (event) => {
      const place = (event.clientX - picture.getBoundingClientRect().left - BORDER.left) / (right - BORDER.left);
      go(Math.min(Math.max(Math.round(place * (count - 1)), 0), count - 1));
    });
    root.replaceChildren(picture);
  }

  return { draw, power };
})();
