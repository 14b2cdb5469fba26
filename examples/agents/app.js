import { connect } from 'shoal';
import { Agent } from './code.js';

// Ten agents share a long briefing, of which one worker has the K/V. With `near` they run in the process of that worker; without it they are spread, and
// each worker has to fetch or compute the briefing first.
// The fleet: SHOAL_SECRET=... shoal up --nats nats://HOST:4222 --workers 3 --actors examples/agents/code.js
// SHOAL_NATS=nats://HOST:4222 SHOAL_SECRET=... SHOAL_URL=http://127.0.0.1:8080 node examples/agents/app.js

const AGENTS = 10;
const url = process.env.SHOAL_URL ?? 'http://127.0.0.1:8080';
const model = (await (await fetch(`${url}/v1/models`)).json()).data[0].id;
const fleet = await connect();

/** A briefing that nobody has had before, and its K/V on one worker. */
async function briefed(title) {
  const notes = Array.from({ length: 70 }, (_, i) => `Note ${i} of ${title}: the team meets in room ${i % 17}.`);
  const briefing = notes.join('\n');
  const first = { model, prompt: briefing, max_tokens: 1, temperature: 0 };
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${url}/v1/completions`, { method: 'POST', headers, body: JSON.stringify(first) });
  if (!response.ok) throw new Error(await response.text());
  return briefing;
}

async function measure(title, isNear) {
  const briefing = await briefed(`${title} ${process.pid} ${Date.now()}`);
  const place = isNear ? { near: { prefix: briefing } } : {};
  const create = () => fleet.actor(Agent, { args: [url, model, briefing], ...place });
  const agents = await Promise.all(Array.from({ length: AGENTS }, create));
  const startMs = performance.now();
  const answers = await Promise.all(agents.map((agent, i) => agent.ask(`Question ${i}: where does the team meet?`)));
  const ms = performance.now() - startMs;
  const sum = (key) => answers.reduce((all, answer) => all + answer[key], 0);
  const workers = new Set(answers.map(({ worker }) => worker)).size;
  console.log(
    `${title}: ${AGENTS} agents on ${workers} ${workers === 1 ? 'worker' : 'workers'}, ${Math.round(ms)} ms; tokens: ${sum('local')} local, ${sum('remote')} fetched, ${sum('computed')} computed`,
  );
  await Promise.all(agents.map((agent) => agent.$kill()));
}

await measure('without near', false);
await measure('with near', true);
await fleet.close();
