/* What an explorer shows, as text in the address bar, and back. What may live here: writing and reading links.
 *
 * A link is example or example&name=value&...; what it does not name is as in the example:
 *   op=avg  x=0,1;2,3 (channels: ~)  k=1,-1 (input channels: ~, output channels: ~~)  b=0.5,1 or none  s=3,2  d=1,2
 *   p=top,bottom,left,right or a word  ceil=1  counted=0  step=3 (from 1)
 */
const link = (() => {
  const OPERATIONS = ["correlate", "convolve", "max", "avg"];
  const number = (value) => (Number.isNaN(value) ? "nan" : String(value).replace("Infinity", "inf"));
  const writeMatrix = (rows) => rows.map((row) => row.map(number).join(",")).join(";");
  const writers = {
    op: (state) => state.operation,
    x: (state) => state.X.map(writeMatrix).join("~"),
    k: (state) => state.K.map((channels) => channels.map(writeMatrix).join("~")).join("~~"),
    b: (state) => (state.bias ? state.bias.map(number).join(",") : "none"),
    s: (state) => state.stride.join(","),
    d: (state) => state.dilation.join(","),
    p: (state) => (typeof state.padding === "string" ? state.padding : state.padding.flat().join(",")),
    ceil: (state) => (state.ceil ? "1" : "0"),
    counted: (state) => (state.counted ? "1" : "0"),
    step: (state) => String(state.step + 1),
  };

  class Unreadable extends Error {}
  function check(condition) {
    if (!condition) throw new Unreadable();
  }
  function readNumbers(text, length) {
    const numbers = text.split(",").map(words.parse);
    check(!numbers.includes(null) && (!length || numbers.length === length));
    return numbers;
  }
  function readWhole(text, length) {
    const numbers = readNumbers(text, length);
    check(numbers.every(Number.isSafeInteger));
    return numbers;
  }
  function readMatrix(text, limit) {
    const rows = text.split(";").map((row) => readNumbers(row));
    check(rows.every((row) => row.length === rows[0].length) && rows.length <= limit && rows[0].length <= limit);
    return rows;
  }
  function readChannels(text, limit) {
    const channels = text.split("~").map((part) => readMatrix(part, limit));
    check(channels.length <= LIMITS.channels && channels.every((one) => one.length === channels[0].length));
    check(channels.every((one) => one[0].length === channels[0][0].length));
    return channels;
  }
  function readFlag(text) {
    check(text === "0" || text === "1");
    return text === "1";
  }
  const readers = {
    op: (text) => (check(OPERATIONS.includes(text)), { operation: text }),
    x: (text) => ({ X: readChannels(text, LIMITS.size) }),
    k: (text) => {
      const K = text.split("~~").map((part) => readChannels(part, LIMITS.kernel));
      check(
        K.length <= LIMITS.channels && K.every((one) => one.length === K[0].length && one[0].length === K[0][0].length),
      );
      check(K.every((one) => one[0][0].length === K[0][0][0].length));
      return { K };
    },
    b: (text) => {
      if (text === "none") return { bias: null };
      const bias = readNumbers(text);
      check(bias.length <= LIMITS.channels);
      return { bias };
    },
    s: (text) => ({ stride: readWhole(text, 2) }),
    d: (text) => ({ dilation: readWhole(text, 2) }),
    p: (text) => {
      if (engine.PADDING_WORDS.includes(text)) return { padding: text };
      const [top, bottom, left, right] = readWhole(text, 4);
      return {
        padding: [
          [top, bottom],
          [left, right],
        ],
      };
    },
    ceil: (text) => ({ ceil: readFlag(text) }),
    counted: (text) => ({ counted: readFlag(text) }),
    step: (text) => ({ step: readWhole(text, 1)[0] - 1 }),
  };

  /** The largest sizes that the page offers. */
  const LIMITS = { size: 16, kernel: 9, stride: 9, dilation: 5, padding: 9, channels: 8 };

  /** The link of an explorer's state: what differs from its example. */
  function write(state, original) {
    const parts = Object.entries(writers)
      .filter(([, writer]) => writer(state) !== writer(original))
      .map(([name, writer]) => `${name}=${writer(state)}`);
    return [state.example, ...parts].join("&");
  }

  /** What the parts of a link change in an example, and what could not be read. */
  function read(parts) {
    const found = { changes: {}, unreadable: [] };
    for (const [name, text] of parts) {
      try {
        check(Object.hasOwn(readers, name));
        Object.assign(found.changes, readers[name](text));
      } catch (error) {
        if (!(error instanceof Unreadable)) throw error;
        found.unreadable.push(text ? `${name}=${text}` : name);
      }
    }
    return found;
  }

  return { LIMITS, read, write };
})();
