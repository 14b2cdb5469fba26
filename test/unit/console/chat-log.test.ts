import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { ChatLog, KEPT_ANSWERS } from '../../../console/chat/chat-log.js';
import { EMPTY_MODEL, type FleetModel } from '../../../console/feed/fleet-model.js';
import { Store } from '../../../console/feed/store.js';
import { aborted, ScriptedApi } from './support/scripted-api.js';

const LENGTH = { tokens: 8, whole: false };
const trace = (id: number, request: string): FleetModel['traces'] =>
  new Map([[id, { id, request, arrivedAt: 1, promptTokens: 1, attempts: [], ended: null, at: 1 }]]);

function logOf(answer: ConstructorParameters<typeof ScriptedApi>[0]) {
  const api = new ScriptedApi(answer);
  const model = new Store<FleetModel>(EMPTY_MODEL);
  const log = new ChatLog(api, model);
  onTestFinished(() => log.end());
  const texts = () => log.chat.value.answers.map(({ text }) => text);
  return { api, model, log, texts };
}

describe('the chat of a tab', () => {
  it('keeps its latest answers, in number and in characters', async () => {
    const { log, texts } = logOf(({ body }) => [`to ${body.prompt!.slice(0, 8)}`]);
    for (let i = 0; i < KEPT_ANSWERS + 2; i++) await log.ask({ prompt: `${i}` }, null, LENGTH);
    expect([texts().length, texts()[0], texts().at(-1)]).toEqual([KEPT_ANSWERS, 'to 2', `to ${KEPT_ANSWERS + 1}`]);
    await log.ask({ prompt: 'x'.repeat(3_000_000) }, null, LENGTH);
    expect(texts()).toHaveLength(KEPT_ANSWERS);
    await log.ask({ prompt: 'y'.repeat(3_000_000) }, null, LENGTH);
    expect(texts()).toEqual(['to yyyyyyyy']);
    await log.ask({ prompt: 'z'.repeat(5_000_000) }, null, LENGTH);
    expect(texts()).toEqual(['to zzzzzzzz']);
    log.clear();
    expect(texts()).toEqual([]);
  });

  it('stops the answer that runs, whoever looks at it', async () => {
    const { log, texts } = logOf(async function* ({ signal }) {
      yield 'begun';
      await aborted(signal);
    });
    const asked = log.ask({ prompt: 'a' }, null, LENGTH);
    await vi.waitFor(() => expect(texts()).toEqual(['begun']));
    expect(log.chat.value.busy).toBe(true);
    log.stop();
    await asked;
    expect(log.chat.value).toMatchObject({ busy: false, answers: [{ text: 'begun', error: 'stopped' }] });
  });

  it('keeps what the coordinator told of an answer after the feed has forgotten it', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const { api, log, model } = logOf(() => ['yes']);
    await log.ask({ prompt: 'a' }, null, LENGTH);
    const request = api.asked[0]!.headers['x-request-id']!;
    model.set({ ...EMPTY_MODEL, traces: trace(1, request) });
    vi.runAllTimers();
    model.set(EMPTY_MODEL);
    vi.runAllTimers();
    expect(log.chat.value.traces.get(request)?.id).toBe(1);
  });
});
