import { expect, it, onTestFinished } from 'vitest';
import { SystemClock } from '../../../src/clock.js';
import { SILENT_LOG } from '../../../src/log.js';
import { openModelFolder } from '../../../src/model/folder.js';
import type { StartThread } from '../../../src/text/lane-thread.js';
import { TextTasks } from '../../../src/text/text-task.js';
import { TextThreads } from '../../../src/text/text-threads.js';
import { MODEL, testServer } from './support/test-server.js';

const [A, B] = ['a-key-of-the-tenant-that-floods', 'a-key-of-the-other-tenant'];
const FLOOD = 200;

/** Threads in the event loop that work when `go` is called. */
function heldThreads(tasks: TextTasks) {
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const start: StartThread = ({ onMessage, onEnd }) => {
    setImmediate(() => onMessage({ type: 'ready', hasTemplate: tasks.hasTemplate }));
    return {
      post: ({ id, task }) => {
        void gate.then(() => setImmediate(() => onMessage({ type: 'done', id, result: tasks.run(task) })));
      },
      cancel: () => {},
      end: async () => onEnd('it was ended'),
    };
  };
  return { start, release };
}

it('converts the text of a tenant before the many of another, which came first', async () => {
  const { start, release } = heldThreads(await TextTasks.load(await openModelFolder('models/recall')));
  const text = await TextThreads.start({ clock: new SystemClock(), log: SILENT_LOG, start });
  onTestFinished(() => text.close());
  let asked = 0;
  let onAsked = () => {};
  const counted = { ...MODEL, text: { ...MODEL.text } };
  counted.text.encode = (...args) => {
    asked++;
    onAsked();
    return text.encode(...args);
  };
  const untilAsked = (count: number) =>
    new Promise<void>((resolve) => {
      onAsked = () => asked === count && resolve();
      onAsked();
    });
  const { post } = await testServer({ apiKeys: [A, B], model: counted });
  const ended: string[] = [];
  const tokenize = async (key: string) => {
    const answer = await post('/tokenize', { prompt: 'The amber key.' }, { authorization: `Bearer ${key}` });
    expect(answer.status).toBe(200);
    ended.push(key);
  };
  const flood = Array.from({ length: FLOOD }, () => tokenize(A));
  await untilAsked(FLOOD);
  const other = tokenize(B);
  await untilAsked(FLOOD + 1);
  release();
  await Promise.all([...flood, other]);
  expect(ended.indexOf(B)).toBeLessThan(FLOOD / 4);
});
