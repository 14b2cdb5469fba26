import { afterEach, describe, expect, it } from 'vitest';
import { Unavailable } from '../../../../src/errors.js';
import { SOCKETS } from '../../../../src/peer/wire/network.js';
import { Cut } from '../../../../workers/chaos/cut.js';
import { cuttableNetwork } from '../../../../workers/chaos/cuttable-network.js';
import { Pair, type Via } from '../../peer/support/pair.js';
import { until } from '../../peer/support/until.js';

const PATIENCE_MS = 60_000;

let pair: Pair;
afterEach(() => pair.close());

describe.each<Via>(['unix', 'tcp'])('a network that can be cut, over %s', (via) => {
  it.each(['dials', 'listens'] as const)(
    'of a peer that %s: closes its links, and has none until it is whole',
    async (side) => {
      const cut = new Cut();
      const network = cuttableNetwork(SOCKETS, cut);
      pair = await Pair.open(side === 'listens' ? { network } : {});
      const client = pair.client(side === 'dials' ? { network } : {});
      const lost: string[] = [];
      client.onLinkClosed((id) => lost.push(id));
      const ping = () => client.ping(pair.target(via), PATIENCE_MS);
      await ping();
      cut.begin();
      await until(() => lost.length === 1);
      for (let i = 0; i < 3; i++) await expect(ping()).rejects.toThrow(Unavailable);
      expect(client.links()).toEqual([]);
      cut.end();
      await ping();
      expect(lost).toEqual(['bob']);
    },
  );
});
