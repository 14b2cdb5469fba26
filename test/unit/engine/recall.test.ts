import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadModelGraph } from '../../../src/engine/model-graph.js';
import { openModelFolder } from '../../../src/model/folder.js';
import { Tokenizer } from '../../../src/model/tokenizer.js';
import { ask, Rig } from './support/rig.js';

/** With the trained model an answer is right only if the K/V of the notes is. */

const NOTES = [
  'The amber key is in the harbor.',
  'The plum lamp belongs to Mara.',
  'The teal chest opens with 4821.',
  'The silver bell is in the orchard.',
  'The crimson trunk opens with 9073.',
  'The ivory flute belongs to Yusuf.',
  'The copper wheel is in the windmill.',
  'The jade mask belongs to Ingrid.',
  'The violet gate opens with 1156.',
  'The olive rope is in the cellar.',
];
const QUESTIONS: [question: string, answer: string][] = [
  ['Where is the amber key?', NOTES[0]!],
  ['What opens the teal chest?', NOTES[2]!],
  ['Where is the silver bell?', NOTES[3]!],
  ['What opens the crimson trunk?', NOTES[4]!],
  ['Who owns the ivory flute?', NOTES[5]!],
  ['Where is the copper wheel?', NOTES[6]!],
  ['What opens the violet gate?', NOTES[8]!],
  ['Where is the olive rope?', NOTES[9]!],
];

let rig: Rig;
let tokenizer: Tokenizer;

beforeAll(async () => {
  const folder = await openModelFolder(fileURLToPath(new URL('../../../models/recall', import.meta.url)));
  tokenizer = await Tokenizer.load(folder);
  rig = await Rig.open(folder);
});
afterAll(async () => {
  expect(await rig.close()).toEqual([]);
});

function prompt(question: string): number[] {
  return tokenizer.encode(`Notes:\n${NOTES.join('\n')}\n\nQ: ${question}\nA:`);
}

const UNTIL_END = { maxTokens: 40, ignoreEos: false };

test('eight questions of different lengths are answered right in a batch and alone, with and without cached notes', async () => {
  const requests = QUESTIONS.map(([question]) => ask(prompt(question), { stopping: UNTIL_END }));
  const together = await Promise.all(requests.map((request) => rig.run(request)));
  const texts = together.map(({ ids }) => tokenizer.decode(ids).trim());
  expect(texts).toEqual(QUESTIONS.map(([, answer]) => answer));
  // The first sequence computed the notes; the others waited for them.
  expect(rig.engine.stats().promptTokens.local).toBeGreaterThan(0);
  rig.cache.clear();
  for (const [i, request] of requests.entries()) {
    const alone = await rig.run(request);
    expect(alone.ids).toEqual(together[i]!.ids);
    expect(alone.end.reason).toBe('stop');
    expect(rig.folder.eosTokenIds).toContain(alone.end.token);
  }
});

test('a graph that computes the logits of all positions gives the same answer', async () => {
  const unchanged: typeof loadModelGraph = async (runtime, folder, options) => {
    const graph = await loadModelGraph(runtime, folder, options);
    expect(graph.names.logitsToKeep).not.toBeNull();
    graph.release();
    const { threads: intraOpThreads, allowSpinning } = options;
    const session = await runtime.openSession(folder.graphPath, { intraOpThreads, allowSpinning });
    const names = { ...graph.names, logitsToKeep: null };
    return { ...graph, session, names, release: () => session.release() };
  };
  const other = await Rig.open(rig.folder, { load: unchanged });
  for (const sampling of [{}, { logprobs: 2, promptLogprobs: true }]) {
    const request = ask(prompt('Who owns the ivory flute?'), { sampling, stopping: UNTIL_END });
    const [expected, given] = [await rig.run(request), await other.run(request)];
    expect(given.ids).toEqual(expected.ids);
    expect(given.prompt).toEqual(expected.prompt);
  }
  expect(await other.close()).toEqual([]);
});

test('a stop token ends the answer and is not part of it', async () => {
  const whole = await rig.run(ask(prompt('What opens the teal chest?'), { stopping: UNTIL_END }));
  const stop = whole.ids[4]!;
  const request = ask(prompt('What opens the teal chest?'), { stopping: { ...UNTIL_END, tokenIds: [stop] } });
  const stopped = await rig.run(request);
  expect(stopped.ids).toEqual(whole.ids.slice(0, whole.ids.indexOf(stop)));
  expect(stopped.end).toEqual({ reason: 'stop', token: stop });
});

test('no end token comes before the minimum length', async () => {
  const question = prompt('Where is the olive rope?');
  const whole = await rig.run(ask(question, { stopping: UNTIL_END }));
  const minTokens = whole.ids.length + 5;
  const longer = await rig.run(ask(question, { stopping: { ...UNTIL_END, minTokens, maxTokens: minTokens + 3 } }));
  expect(longer.ids.length).toBeGreaterThanOrEqual(minTokens);
  expect(longer.ids.slice(0, whole.ids.length)).toEqual(whole.ids);
});

test('an ignored end token is an ordinary token', async () => {
  const question = prompt('Where is the olive rope?');
  const whole = await rig.run(ask(question, { stopping: UNTIL_END }));
  const on = await rig.run(ask(question, { stopping: { ...UNTIL_END, ignoreEos: true } }));
  expect(on.ids).toHaveLength(40);
  expect(on.ids[whole.ids.length]).toBe(whole.end.token);
});
