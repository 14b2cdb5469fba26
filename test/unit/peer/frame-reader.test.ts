import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../../../src/digest.js';
import { Corrupt, ShoalError } from '../../../src/errors.js';
import { FRAME_HEADER_BYTES, HANDSHAKE_FRAME_BYTES } from '../../../src/limits.js';
import {
  checkLengths,
  FrameReader,
  type FrameTaker,
  PEER_READ_BYTES,
  PRELUDE_BYTES,
  type Prelude,
  packFrame,
} from '../../../src/peer/wire/frame.js';

const PAYLOAD_BYTES = 5000;

interface Taken {
  type: number;
  header: number[];
  payload: Uint8Array | null;
  digest: string | null;
}

/** Frames of type 1 have a payload that is kept, of type 2 one that is not, all others none. */
class Collector implements FrameTaker {
  readonly frames: Taken[] = [];
  places = 0;
  headerBytes = FRAME_HEADER_BYTES;
  /** Parts of payloads that came, and the one after which no more are wanted. */
  parts = 0;
  wanted = Number.POSITIVE_INFINITY;
  private current: Taken | null = null;

  admit(prelude: Prelude): void {
    checkLengths(prelude, this.headerBytes, prelude.type === 1 || prelude.type === 2 ? PAYLOAD_BYTES : 0);
  }

  begin(prelude: Prelude, header: Uint8Array): Uint8Array | null {
    const payload = prelude.type === 1 ? new Uint8Array(PAYLOAD_BYTES) : null;
    if (payload) this.places++;
    this.current = { type: prelude.type, header: Array.from(header), payload, digest: null };
    return payload;
  }

  wants(): boolean {
    this.parts++;
    return this.parts < this.wanted;
  }

  end(digest: string | null): void {
    this.frames.push({ ...this.current!, digest });
  }
}

function feed(reader: FrameReader, bytes: Uint8Array, most: () => number = () => Number.POSITIVE_INFINITY): void {
  for (let at = 0; at < bytes.byteLength; ) {
    const target = reader.target();
    expect(target.byteLength).toBeGreaterThan(0);
    const part = bytes.subarray(at, at + Math.max(1, Math.min(target.byteLength, most())));
    target.set(part);
    reader.advance(part.byteLength);
    at += part.byteLength;
  }
}

const sent = fc.array(
  fc.record({ type: fc.integer({ min: 0, max: 3 }), header: fc.uint8Array({ maxLength: 3000 }), seed: fc.nat(255) }),
  { maxLength: 6 },
);

function bytesOf(frames: { type: number; header: Uint8Array; seed: number }[]): Uint8Array {
  return Buffer.concat(
    frames.flatMap(({ type, header, seed }) => {
      const payload = new Uint8Array(type === 1 || type === 2 ? PAYLOAD_BYTES : 0).fill(seed);
      return [packFrame(type, seed, header, payload.byteLength), payload];
    }),
  );
}

describe('a frame reader', () => {
  it('finds the same frames however the stream is cut', () => {
    fc.assert(
      fc.property(sent, fc.infiniteStream(fc.integer({ min: 1, max: 4000 })), (frames, cuts) => {
        const collector = new Collector();
        const reader = new FrameReader(collector);
        reader.handTo(collector);
        feed(reader, bytesOf(frames), () => cuts.next().value!);
        expect(collector.frames.length).toBe(frames.length);
        for (const [i, { type, header, seed }] of frames.entries()) {
          const got = collector.frames[i]!;
          expect(got.type).toBe(type);
          expect(got.header).toEqual(Array.from(header));
          const payload = new Uint8Array(PAYLOAD_BYTES).fill(seed);
          expect(got.digest).toBe(type === 1 ? digestOf(payload) : null);
          if (got.payload) expect(Buffer.compare(got.payload, payload)).toBe(0);
        }
        expect(reader.midFrame).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  it('gives all frames behind the one that handed over to the other taker, even where they came with it', () => {
    const first = new Collector();
    const second = new Collector();
    const reader: FrameReader = new FrameReader({
      admit: (prelude) => first.admit(prelude),
      begin: (prelude, header) => first.begin(prelude, header),
      wants: () => first.wants(),
      end: (digest) => {
        first.end(digest);
        reader.handTo(second);
      },
    });
    const frames = [7, 8, 9].map((seed) => ({ type: 1, header: new Uint8Array(seed), seed }));
    feed(reader, bytesOf(frames));
    expect(first.frames.map(({ header }) => header.length)).toEqual([7]);
    expect(second.frames.map(({ header }) => header.length)).toEqual([8, 9]);
  });

  it('reads a payload into its own memory, in bounded parts', () => {
    let place: Uint8Array | null = null;
    const payloadBytes = 3 * PEER_READ_BYTES;
    const reader = new FrameReader({
      admit: () => {},
      begin: () => {
        place = new Uint8Array(payloadBytes);
        return place;
      },
      wants: () => true,
      end: () => {},
    });
    feed(reader, packFrame(1, 1, new Uint8Array(10), payloadBytes));
    expect(reader.target().buffer).toBe(place!.buffer);
    expect(reader.target().byteLength).toBe(PEER_READ_BYTES);
    reader.advance(PEER_READ_BYTES - 1);
    expect(reader.target().byteOffset).toBe(PEER_READ_BYTES - 1);
  });

  it('skips the rest of an unwanted payload, and finds the next frame', () => {
    const kept = { type: 1, header: new Uint8Array(5), seed: 9 };
    const bytes = bytesOf([kept, { type: 0, header: new Uint8Array(7), seed: 0 }]);
    const collector = new Collector();
    collector.wanted = 3;
    const begun: Uint8Array[] = [];
    const reader = new FrameReader({
      admit: (prelude) => collector.admit(prelude),
      begin: (prelude, header) => {
        const payload = collector.begin(prelude, header);
        if (payload) begun.push(payload);
        return payload;
      },
      wants: () => collector.wants(),
      end: (digest) => collector.end(digest),
    });
    feed(reader, bytes, () => 100);
    expect(collector.frames.map(({ type, digest }) => [type, digest])).toEqual([
      [1, null],
      [0, null],
    ]);
    const written = begun[0]!.lastIndexOf(9) + 1;
    expect([written > 0, written <= 300]).toEqual([true, true]);
    expect(reader.midFrame).toBe(false);
  });

  it('stays mid-frame at every truncation, and takes no frame before its last byte', () => {
    const bytes = bytesOf([{ type: 1, header: new Uint8Array(50).fill(3), seed: 9 }]);
    for (let length = 1; length < bytes.byteLength; length += 1 + (length >> 4)) {
      const collector = new Collector();
      const reader = new FrameReader(collector);
      feed(reader, bytes.subarray(0, length));
      expect(reader.midFrame).toBe(true);
      expect(collector.frames).toEqual([]);
    }
  });

  it('allocates no memory for a frame with any byte of prelude or header changed', () => {
    const bytes = bytesOf([{ type: 1, header: new Uint8Array(50).fill(3), seed: 9 }]);
    for (let at = 0; at < PRELUDE_BYTES + 50; at++) {
      const collector = new Collector();
      const changed = Uint8Array.from(bytes);
      changed[at]! ^= 1 << (at % 8);
      expect(() => feed(new FrameReader(collector), changed)).toThrow(Corrupt);
      expect(collector.places).toBe(0);
    }
  });

  it('gives another digest if any byte of the payload is changed', () => {
    const bytes = bytesOf([{ type: 1, header: new Uint8Array(5), seed: 9 }]);
    const right = digestOf(new Uint8Array(PAYLOAD_BYTES).fill(9));
    for (let at = PRELUDE_BYTES + 5; at < bytes.byteLength; at += 97) {
      const collector = new Collector();
      const changed = Uint8Array.from(bytes);
      changed[at]! ^= 0x10;
      feed(new FrameReader(collector), changed);
      expect(collector.frames[0]!.digest).not.toBe(right);
    }
  });

  it('refuses lengths over the bound before it allocates memory for them', () => {
    const collector = new Collector();
    const header = new Uint8Array(0);
    expect(() => feed(new FrameReader(collector), packFrame(1, 1, header, 0xffffffff))).toThrow(Corrupt);
    expect(() => feed(new FrameReader(collector), packFrame(0, 1, header, 1))).toThrow(Corrupt);
    collector.headerBytes = 100;
    expect(() => feed(new FrameReader(collector), packFrame(0, 1, new Uint8Array(101), 0))).toThrow(Corrupt);
    expect(collector.places).toBe(0);
  });

  it('holds no more than a handshake needs until it is widened', () => {
    const collector = new Collector();
    const reader = new FrameReader(collector);
    expect(reader.target().byteLength).toBeLessThanOrEqual(HANDSHAKE_FRAME_BYTES);
    expect(() => feed(reader, packFrame(0, 1, new Uint8Array(HANDSHAKE_FRAME_BYTES + 1), 0))).toThrow(ShoalError);
  });

  it('refuses random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: PRELUDE_BYTES, maxLength: 2000 }), (bytes) => {
        const collector = new Collector();
        expect(() => feed(new FrameReader(collector), bytes)).toThrow(ShoalError);
        expect(collector).toMatchObject({ places: 0, frames: [] });
      }),
    );
  });

  it('ignores all bytes once it is stopped, and releases the memory that it was reading into', () => {
    const collector = new Collector();
    const reader = new FrameReader(collector);
    const bytes = bytesOf([
      { type: 1, header: new Uint8Array(5), seed: 1 },
      { type: 0, header: new Uint8Array(5), seed: 1 },
    ]);
    feed(reader, bytes.subarray(0, 3000));
    const place = reader.target().buffer;
    reader.stop();
    expect(reader.target().buffer).not.toBe(place);
    feed(reader, bytes.subarray(3000));
    expect(collector.frames).toEqual([]);
  });
});
