import { describe, expect, it } from 'vitest';
import { collectGarbage } from '../../../bench/garbage.js';
import { SimulatedClock } from '../../../src/clock.js';
import { objectName } from '../../../src/objects/object-name.js';
import { ValueStaging } from '../../../src/objects/value-staging.js';
import { CommandMemory } from '../../../src/resp/command-memory.js';
import { type RespArg, RespReader, type RespTaker } from '../../../src/resp/resp-reader.js';
import { argValue } from '../../../src/resp/resp-session.js';
import { ObjectStore } from '../../../workers/objects/object-store.js';
import { packCommand } from '../resp/support/resp-station.js';

const OBJECTS = 8_000;

/** Bytes of memory in use, as far as the runtime knows: the heap, and what lies outside of it. */
function usedBytes(): number {
  collectGarbage();
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Keeps objects that come as commands do, and whose metadata nothing else refers to. */
function fill(store: ObjectStore, valueBytes: number, fieldChars: number): void {
  let writes = 0;
  const taker: RespTaker = {
    argBytes: 1e6,
    trusted: true,
    tenant: null,
    nothing: () => {},
    stepped: () => {},
    command: ([, key, arg]: RespArg[]) => {
      const value = argValue(arg!);
      const at = 1e15 + ++writes;
      const name = objectName('tenant/t:all', key as Buffer);
      const fields = fieldChars === 0 ? {} : { [`f${at}`]: `${at}`.padEnd(fieldChars, `${writes}`) };
      const about = { bytes: value.bytes, contentType: null, fields };
      const room = store.reserve(name, about)!;
      const info = { ...about, version: { at, writer: `w-${at % 3}` }, digest: value.digest, expiresAtMs: null };
      store.put(name, { ...info, token: Buffer.from(`t${at}`).toString('base64url') }, value, room);
    },
  };
  const reader = new RespReader(
    taker,
    new ValueStaging(1e9),
    new CommandMemory(1e9, new SimulatedClock()).share(() => {}),
  );
  for (let i = 0; i < OBJECTS; i++) {
    const command = packCommand(['SET', `key:${i}`, Buffer.alloc(valueBytes, 65)]);
    for (let from = 0; from < command.byteLength; ) {
      const taken = command.copy(reader.target(), 0, from);
      reader.advance(taken);
      from += taken;
    }
  }
}

describe('the memory of objects', () => {
  it.each([
    { valueBytes: 1, fieldChars: 0 },
    { valueBytes: 1_500, fieldChars: 0 },
    { valueBytes: 100, fieldChars: 200 },
  ])(
    'is no more than what is counted, with values of $valueBytes bytes and fields of $fieldChars characters',
    (shape) => {
      const store = new ObjectStore({ budgetBytes: 1e12, wallMs: () => 0 });
      const before = usedBytes();
      fill(store, shape.valueBytes, shape.fieldChars);
      const used = usedBytes() - before;
      expect(store.objects).toBe(OBJECTS);
      expect(used).toBeLessThan(store.bytes);
      expect(used).toBeGreaterThan(0.6 * store.bytes);
    },
  );
});
