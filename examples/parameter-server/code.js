import { current } from 'shoal';

/** Holds the parameters of a linear model, and applies gradients in the order in which they come. */
export class ParameterServer {
  constructor(size, rate) {
    this.weights = new Float64Array(size);
    this.rate = rate;
    this.seen = new Set();
  }

  pull() {
    return this.weights;
  }

  push(gradient) {
    // A call that is repeated after the loss of a node has the same id.
    const { callId } = current();
    if (this.seen.has(callId)) return;
    this.seen.add(callId);
    for (let i = 0; i < gradient.length; i++) this.weights[i] -= this.rate * gradient[i];
  }
}

/** One step of gradient descent on rows that this task makes up: y = 3 x0 - 2 x1. */
export async function trainStep(server, rows) {
  const weights = await server.pull();
  const gradient = new Float64Array(weights.length);
  for (let row = 0; row < rows; row++) {
    const x = Float64Array.from(weights, () => Math.random() * 2 - 1);
    const error = weights.reduce((sum, weight, i) => sum + weight * x[i], 0) - (3 * x[0] - 2 * x[1]);
    for (let i = 0; i < x.length; i++) gradient[i] += (2 * error * x[i]) / rows;
  }
  await server.push(gradient);
}
