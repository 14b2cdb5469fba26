import { describe, expect, it } from 'vitest';
import type { FeedStatus } from '../../../console/feed/feed-status.js';
import { lostText, servingText } from '../../../console/feed/feed-words.js';
import { EMPTY_MODEL } from '../../../console/feed/fleet-model.js';
import { fleetSentence } from '../../../console/ring/fleet-sentence.js';
import { runningOn } from '../../../console/workers/living.js';
import type { FeedWorker } from '../../../src/console/feed-messages.js';

const worker = (id: string, state: FeedWorker['state'], running = 0): FeedWorker => ({
  ...{ id, state, running, device: 'cpu', quarantined: false, blocks: 0, bytes: 0, budget: 1 },
  ...{ waiting: 0, hit_rate: 0, compute_ms_per_token: null },
});

describe('what the page cannot know', () => {
  const lost = (since: number | null): FeedStatus & { state: 'lost' } => ({ state: 'lost', why: 'it is gone', since });
  const model = { ...EMPTY_MODEL, snapshots: [{ at: 0, workers: [] }] };

  it('is not said of a fleet that the page does not hear', () => {
    expect(servingText(model, lost(1_000_000))).toMatch(/^unknown since \d\d:\d\d$/);
    expect(servingText(model, lost(null))).toBe('unknown');
    expect(servingText({ workers: new Map([['w1', worker('w1', 'serving')]]) }, { state: 'live' })).toBe('1/1 serving');
    expect(lostText(lost(1_000_000))).toMatch(
      /^Not live: it is gone\. Trying again\. The page shows what was known at \d\d:\d\d\.$/,
    );
    expect(lostText(lost(null))).toBe('Not live: it is gone. Trying again.');
    expect(fleetSentence(model, true)).toEqual({
      tone: 'trouble',
      text: 'How the fleet is now is unknown. The page shows what it knew last.',
    });
  });

  it('is not counted of a dead worker', () => {
    expect(runningOn([worker('w1', 'dead', 1), worker('w2', 'serving', 1), worker('w3', 'draining', 2)])).toBe(3);
  });
});
