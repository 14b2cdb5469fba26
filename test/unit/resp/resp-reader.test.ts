import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import { ValueStaging } from '../../../src/objects/value-staging.js';
import { CommandMemory } from '../../../src/resp/command-memory.js';
import { type RespArg, RespProtocolError, RespReader, VALUE_ARG_BYTES } from '../../../src/resp/resp-reader.js';
import { packCommand } from './support/resp-station.js';

const MiB = 2 ** 20;
const shareOf = (bytes: number) => new CommandMemory(bytes, new SimulatedClock()).share(() => {});

/** Feeds bytes in parts of the given lengths, over and over, and gives the commands that come out. */
function read(
  bytes: Buffer,
  parts: readonly number[],
  staging = new ValueStaging(64 * MiB),
  trusted = true,
): string[][] {
  const commands: string[][] = [];
  const taker = {
    argBytes: 32 * MiB,
    trusted,
    tenant: null,
    nothing: () => {},
    stepped: () => {},
    command: (args: RespArg[], fault: Error | null) => {
      commands.push(
        fault !== null ? ['fault'] : args.map((arg) => (Buffer.isBuffer(arg) ? arg : arg.copy()).toString('latin1')),
      );
      for (const arg of args) if (!Buffer.isBuffer(arg)) arg.release();
    },
  };
  const reader = new RespReader(taker, staging, shareOf(64 * MiB));
  for (let at = 0, i = 0; at < bytes.byteLength; i++) {
    const part = bytes.subarray(at, at + Math.max(1, parts[i % parts.length]!));
    const target = reader.target();
    const taken = Math.min(part.byteLength, target.byteLength);
    part.copy(target, 0, 0, taken);
    reader.advance(taken);
    at += taken;
  }
  reader.stop();
  return commands;
}

const args = fc.array(
  fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.nat(3).map((n) => new Uint8Array(VALUE_ARG_BYTES - 1 + n).fill(65 + n)),
    fc.constant(new Uint8Array(2 * MiB + 3).fill(66)),
  ),
  { minLength: 1, maxLength: 5 },
);
const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 300_000 })), {
  minLength: 1,
  maxLength: 8,
});

describe('a reader of commands', () => {
  it('finds the same commands however their bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(args, { minLength: 1, maxLength: 4 }), cuts, (commands, parts) => {
        // Parts of a few bytes would take long for large values.
        const large = commands.flat().some(({ byteLength }) => byteLength > MiB);
        const lengths = large ? [...parts, 200_000] : parts;
        const bytes = Buffer.concat(commands.map((each) => packCommand(each.map((arg) => Buffer.from(arg)))));
        const staging = new ValueStaging(64 * MiB);
        expect(read(bytes, lengths, staging)).toEqual(
          commands.map((each) => each.map((arg) => Buffer.from(arg).toString('latin1'))),
        );
        expect(staging.usedBytes).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('takes lines of words, and empty ones', () => {
    expect(read(Buffer.from('PING\r\n\r\nget  a\n*0\r\n*1\r\n$4\r\nPING\r\n'), [7])).toEqual([
      ['PING'],
      ['get', 'a'],
      ['PING'],
    ]);
  });

  it('throws an error, or waits, for any other bytes, and keeps no memory', () => {
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      fc
        .array(
          fc.constantFrom(
            '*',
            '$',
            '-',
            '1',
            '9',
            '\r\n',
            '\r',
            '\n',
            'a',
            ' ',
            '\0',
            '*3\r\n',
            '$20000\r\n',
            '$-1\r\n',
          ),
          {
            maxLength: 60,
          },
        )
        .map((parts) => Buffer.from(parts.join(''), 'latin1')),
    );
    fc.assert(
      fc.property(hostile, cuts, (bytes, parts) => {
        const staging = new ValueStaging(64 * MiB);
        try {
          read(bytes, parts, staging);
        } catch (error) {
          expect(error).toBeInstanceOf(RespProtocolError);
          return;
        }
        expect(staging.usedBytes).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['*70000\r\n', 'multibulk'],
    ['*1x\r\n', 'multibulk'],
    [`*${'1'.repeat(40)}`, 'too big'],
    ['*1\r\n$40000000\r\n', 'bulk length'],
    ['*1\r\n$-1\r\n', 'bulk length'],
    ['*1\r\n:1\r\n', "expected '$'"],
    ['*1\r\n$1\r\nabc\r\n', 'end of a line'],
    ['x'.repeat(70_000), 'too big inline'],
    ['POST / HTTP/1.1\r\n', 'HTTP'],
    ['GET /x HTTP/1.1\r\n', 'HTTP'],
    ['Host: example.com\r\n', 'HTTP'],
    ['OPTIONS * HTTP/1.0\r\n', 'HTTP'],
  ])('refuses %j', (text, reason) => {
    expect(() => read(Buffer.from(text), [11])).toThrow(reason);
  });

  it('allows little to a client that has not proved itself', () => {
    const untrusted = (text: string) => () => read(Buffer.from(text), [100], new ValueStaging(MiB), false);
    expect(untrusted('*11\r\n')).toThrow('unauthenticated');
    expect(untrusted('*1\r\n$20000\r\n')).toThrow('unauthenticated');
    expect(untrusted(`${'a '.repeat(12)}\r\n`)).toThrow('unauthenticated');
    expect(untrusted('*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n')()).toEqual([['AUTH', 'x']]);
  });

  it('discards a value for which there is no memory, and goes on behind it', () => {
    const bytes = Buffer.concat([
      packCommand(['SET', 'a', Buffer.alloc(3 * MiB)]),
      packCommand(['SET', 'b', Buffer.alloc(MiB)]),
      packCommand(['PING']),
    ]);
    const staging = new ValueStaging(2 * MiB);
    expect(read(bytes, [100_000], staging).map(([name]) => name)).toEqual(['fault', 'SET', 'PING']);
    expect(staging.usedBytes).toBe(0);
  });

  it('takes no command while its taker is blocked, and all afterwards', () => {
    const seen: string[] = [];
    const taker = {
      argBytes: MiB,
      trusted: true,
      tenant: null,
      nothing: () => {},
      stepped: () => {},
      command: (found: RespArg[]) => {
        seen.push((found[0] as Buffer).toString());
        reader.blocked = true;
      },
    };
    const reader: RespReader = new RespReader(taker, new ValueStaging(MiB), shareOf(MiB));
    const bytes = Buffer.from('a\nb\nc\n');
    bytes.copy(reader.target());
    reader.advance(bytes.byteLength);
    expect(seen).toEqual(['a']);
    for (const expected of [
      ['a', 'b'],
      ['a', 'b', 'c'],
    ]) {
      reader.blocked = false;
      reader.proceed();
      expect(seen).toEqual(expected);
    }
  });

  it('finds bytes where it wanted them, also if it went on with earlier ones meanwhile', () => {
    const seen: number[] = [];
    const taker = {
      argBytes: MiB,
      trusted: true,
      tenant: null,
      nothing: () => {},
      stepped: () => {},
      command: (found: RespArg[]) => {
        const last = found.at(-1)!;
        seen.push(Buffer.isBuffer(last) ? last.byteLength : last.bytes);
        for (const arg of found) if (!Buffer.isBuffer(arg)) arg.release();
        reader.blocked = seen.length === 1;
      },
    };
    const reader: RespReader = new RespReader(taker, new ValueStaging(MiB), shareOf(MiB));
    const value = packCommand(['SET', Buffer.alloc(VALUE_ARG_BYTES, 'v')]);
    const first = Buffer.concat([Buffer.from('a\n'), value.subarray(0, 40)]);
    first.copy(reader.target());
    reader.advance(first.byteLength);
    const second = value.subarray(40);
    const target = reader.target();
    reader.blocked = false;
    reader.proceed();
    second.copy(target);
    reader.advance(second.byteLength);
    expect(seen).toEqual([1, VALUE_ARG_BYTES]);
  });
});
