import { current } from 'shoal';

/** An agent that puts questions to the model of the worker in whose process it runs. */
export class Agent {
  constructor(url, model, briefing) {
    Object.assign(this, { url, model, briefing });
  }

  /** Where it is, how many tokens of its prompt had K/V there, and the milliseconds to the answer. */
  async ask(question) {
    const node = current()
      .fleet.nodes()
      .find(({ pid, kind, worker }) => pid === process.pid && kind === 'node' && worker);
    const startMs = performance.now();
    const response = await fetch(`${this.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-shoal-worker': node.worker },
      body: JSON.stringify({
        model: this.model,
        prompt: `${this.briefing}\n${question}`,
        max_tokens: 8,
        temperature: 0,
      }),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error.message);
    const { local, remote, computed } = answer.usage.shoal?.cached ?? answer.shoal.cached;
    return { worker: node.worker, local, remote, computed, ms: performance.now() - startMs };
  }
}
