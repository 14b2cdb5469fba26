import { describe, expect, it } from 'vitest';
import { WorkerRetention } from '../../../workers/retention.js';

function worker(...here: string[]) {
  let retained: string[] = [];
  const store = {
    retain: (keys: ReadonlySet<string>) => {
      retained = [...keys];
    },
    tierOf: (key: string) => (here.includes(key) ? ('device' as const) : null),
    disk: 'none' as const,
  };
  return { retention: new WorkerRetention(store), retained: () => retained };
}

describe('a worker', () => {
  it('retains the blocks it is told to, and reports those that it lacks', () => {
    const { retention, retained } = worker('a');
    expect(retention.obey(1, ['a', 'b'])).toEqual({ type: 'retained', missing: ['b'] });
    expect(retention.obey(1, ['b'])).toEqual({ type: 'retained', missing: ['b'] });
    expect(retained()).toEqual(['b']);
  });

  it('refuses a keeper with a lower fencing number than one it has seen, and names that one', () => {
    const { retention, retained } = worker('a');
    retention.obey(7, ['a']);
    expect(retention.obey(6, [])).toEqual({ type: 'fenced', fence: 7 });
    expect(retained()).toEqual(['a']);
    expect(retention.obey(8, [])).toEqual({ type: 'retained', missing: [] });
  });
});
