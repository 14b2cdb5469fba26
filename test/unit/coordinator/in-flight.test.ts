import { describe, expect, it } from 'vitest';
import { InFlight } from '../../../coordinator/in-flight.js';

describe('the load in flight', () => {
  it('counts requests until they end and tokens until they are computed, each once', () => {
    const inFlight = new InFlight();
    const [a, b] = [inFlight.add('w', 100), inFlight.add('w', 10)];
    inFlight.add('v', 1);
    expect(inFlight.loads.get('w')).toEqual({ requests: 2, computeTokens: 110 });
    a.prefilled();
    a.prefilled();
    expect(inFlight.loads.get('w')).toEqual({ requests: 2, computeTokens: 10 });
    b.done();
    b.done();
    b.prefilled();
    expect(inFlight.loads.get('w')).toEqual({ requests: 1, computeTokens: 0 });
    a.done();
    expect([...inFlight.loads.keys()]).toEqual(['v']);
  });

  it('does not charge a repeated end to later requests', () => {
    const inFlight = new InFlight();
    const first = inFlight.add('w', 5);
    first.done();
    inFlight.add('w', 7);
    first.done();
    first.prefilled();
    expect(inFlight.loads.get('w')).toEqual({ requests: 1, computeTokens: 7 });
  });
});
