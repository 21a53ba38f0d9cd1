/* Gradient descent on one kernel, in float64. What may live here: arithmetic and nothing else, no document. */
const descent = (() => {
  const sum = (matrix) => matrix.flat().reduce((total, value) => total + value, 0);
  const combine = (A, B, f) => A.map((row, i) => row.map((value, j) => f(value, B[i][j])));

  /** What a kernel and a bias make of X, how far that is from Y, and which way is down. */
  function look({ X, Y }, kernel, bias) {
    const [[output]] = engine.conv2d([[X]], [[[kernel]]], [bias]);
    const error = combine(output, Y, (is, wanted) => is - wanted);
    const twice = error.map((row) => row.map((value) => 2 * value));
    const [[[gradient]]] = engine.conv2d([[X]], [[twice]]);
    return { output, loss: sum(error.map((row) => row.map((value) => value * value))), gradient, slope: sum(twice) };
  }

  /** Take steps; return the loss before each of them, the kernel and the bias after each. */
  function run(images, { start, rate, steps, bias }) {
    const found = { losses: [], weights: [], biases: bias ? [] : null };
    let [kernel, b] = [start, 0];
    for (let step = 0; step < steps; step += 1) {
      const { loss, gradient, slope } = look(images, kernel, b);
      kernel = kernel.map((value, j) => value - rate * gradient[j]);
      if (bias) b -= rate * slope;
      found.losses.push(loss);
      found.weights.push(kernel);
      if (bias) found.biases.push(b);
    }
    return found;
  }

  return { look, run };
})();
