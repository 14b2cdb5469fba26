import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../../../../cli/program.js';
import type { HttpServer } from '../../../../coordinator/http/server.js';
import { objectName } from '../../../../src/objects/object-name.js';
import { ObjectValue } from '../../../../src/objects/object-value.js';
import { OPEN_SPACE } from '../../../../src/resp/resp-access.js';
import { kvServer } from '../../kv/support.js';
import { RespStation } from '../../resp/support/resp-station.js';

const MiB = 2 ** 20;
const HOUR_MS = 3_600_000;
const FIRST_MS = Date.now();
const NEVER = new AbortController().signal;

async function shoal(...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const io = { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) };
  const code = await run(['kv', ...args, '--json'], { environment: {}, io });
  return { code, err: err.join(''), row: out.length > 0 ? JSON.parse(out.join('')) : null };
}

/** The objects of one worker, behind a coordinator's `/v1/kv`. */
class Side {
  private constructor(
    readonly station: RespStation,
    readonly server: HttpServer,
  ) {}

  static async open(): Promise<Side> {
    const station = await RespStation.open();
    return new Side(station, await kvServer(station));
  }

  async close(): Promise<void> {
    await this.server.close();
    await this.station.close();
  }

  async put(key: string | Buffer, bytes: Uint8Array, about: { expiresInMs?: number; type?: string } = {}) {
    const value = ObjectValue.of(bytes);
    const { expiresInMs, type = null } = about;
    await this.station.objects.home.write(
      objectName(OPEN_SPACE, Buffer.from(key)),
      value,
      {
        contentType: type,
        fields: type === null ? {} : { layer: '3' },
        expiry: expiresInMs === undefined ? { kind: 'never' } : { kind: 'at', atMs: Date.now() + expiresInMs },
        condition: { kind: 'always' },
        token: `${Math.random()}`,
      },
      NEVER,
    );
    value.release();
  }

  /** Everything that it has, apart from versions. Of an expiry the hour: a lifetime travels as what is left of it, and arrives later. */
  content() {
    const rows = [...this.station.objects.store.all()].map(({ name, info, value }) => [
      name.key.toString('hex'),
      {
        ...info,
        version: null,
        token: null,
        expiresAtMs: info.expiresAtMs === null ? null : Math.round((info.expiresAtMs - FIRST_MS) / HOUR_MS),
      },
      value.copy().toString('base64'),
    ]);
    return Object.fromEntries(rows.map(([key, ...rest]) => [key, rest]));
  }

  async fill(): Promise<void> {
    await this.put('empty', Buffer.alloc(0));
    await this.put(Buffer.from([0, 255, 47, 128]), Buffer.from('bytes for a key'));
    await this.put('large', Buffer.alloc(2 * MiB + 5, 'large'), { type: 'application/x-kv' });
    await this.put('timed', Buffer.from('t'), { expiresInMs: HOUR_MS });
    for (let i = 0; i < 110; i++) await this.put(`many/${i}`, Buffer.alloc(10 + i, i));
  }
}

describe('a backup of objects', () => {
  let from: Side;
  let to: Side;
  const folder = mkdtempSync(join(tmpdir(), 'shoal-backup-'));
  let files = 0;
  const newFile = () => join(folder, `${files++}.kv`);
  const restored = (file: string, ...args: string[]) => shoal('import', file, '--url', to.server.url, ...args);

  beforeEach(async () => {
    [from, to] = [await Side.open(), await Side.open()];
    await from.fill();
  });

  afterEach(async () => {
    await Promise.all([from.close(), to.close()]);
    for (let at = 0; at < files; at++) rmSync(join(folder, `${at}.kv`), { force: true });
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('holds all objects with their types, fields and times, or those of a prefix', async () => {
    const file = newFile();
    const { code, row } = await shoal('export', file, '--url', from.server.url);
    expect([code, row.objects, row.gone, existsSync(`${file}.part`)]).toEqual([0, 114, 0, false]);
    expect(await restored(file)).toMatchObject({ code: 0, row: { complete: true, written: 114, present: 0 } });
    expect(to.content()).toEqual(from.content());
    expect((await restored(file)).row).toMatchObject({ written: 0, present: 114 });
    const some = newFile();
    expect((await shoal('export', some, '--url', from.server.url, '--prefix', 'many/1')).row.objects).toBe(21);
    expect((await shoal('export', some, '--url', from.server.url)).err).toContain('exists');
  });

  it('goes on where it was cut off, at any byte', async () => {
    const whole = newFile();
    await shoal('export', whole, '--url', from.server.url);
    const bytes = readFileSync(whole);
    const cuts = [0, 5, 15, 200, Math.floor(bytes.length / 2), bytes.length - 1];
    for (const cut of cuts) {
      const file = newFile();
      writeFileSync(`${file}.part`, bytes.subarray(0, cut));
      expect(await shoal('export', file, '--url', from.server.url)).toMatchObject({ code: 0, row: { objects: 114 } });
      expect(await restored(file)).toMatchObject({ code: 0, row: { complete: true, damaged: 0 } });
      expect(readFileSync(file).length).toBe(bytes.length);
    }
    expect(to.content()).toEqual(from.content());
    const other = newFile();
    writeFileSync(`${other}.part`, bytes.subarray(0, 200));
    expect((await shoal('export', other, '--url', from.server.url, '--prefix', 'x')).err).toContain('was begun with');
    rmSync(`${other}.part`);
  });

  it('restores what a file that was cut off has, and says that there is no end', async () => {
    const file = newFile();
    await shoal('export', file, '--url', from.server.url);
    writeFileSync(file, readFileSync(file).subarray(0, -1_000));
    const { code, row, err } = await restored(file);
    expect([code, row.complete]).toEqual([1, false]);
    expect(err).toContain('has no end');
    expect(from.content()).toMatchObject(to.content());
    expect(Object.keys(to.content())).toHaveLength(row.written);
  });

  it('leaves out an object that the disk has damaged', async () => {
    const file = newFile();
    await shoal('export', file, '--url', from.server.url);
    const bytes = readFileSync(file);
    bytes[bytes.indexOf('largelarge') + MiB]! ^= 1;
    writeFileSync(file, bytes);
    expect(await restored(file)).toMatchObject({ code: 1, row: { complete: true, written: 113, damaged: 1 } });
    const { [Buffer.from('large').toString('hex')]: _, ...others } = from.content();
    expect(to.content()).toEqual(others);
  });

  it('leaves what the fleet has since got, unless it is to replace it', async () => {
    const file = newFile();
    await shoal('export', file, '--url', from.server.url);
    await to.put('large', Buffer.from('newer'));
    expect((await restored(file)).row).toMatchObject({ written: 113, kept: 1 });
    expect(to.content()).not.toEqual(from.content());
    expect((await restored(file, '--replace')).row).toMatchObject({ written: 1, present: 113 });
    expect(to.content()).toEqual(from.content());
  });

  it('takes no other file for one', async () => {
    const file = newFile();
    writeFileSync(file, 'a letter to somebody');
    expect(await restored(file)).toMatchObject({ code: 1, row: null });
    writeFileSync(`${file}x.part`, 'a letter to somebody');
    expect(await shoal('export', `${file}x`, '--url', from.server.url)).toMatchObject({ code: 1 });
    expect(readFileSync(`${file}x.part`, 'utf8')).toBe('a letter to somebody');
    rmSync(`${file}x.part`);
  });
});
