import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Refused } from '../../../../src/errors.js';
import { decodeHeader, encodeHeader, HEADER_BYTES } from '../../../../workers/cache/block-file.js';
import { BlockFolder, NoRegularFile } from '../../../../workers/cache/block-folder.js';
import { BLOCK_SEAL_BYTES, FileSealer } from '../../../../workers/cache/file-seal.js';

const hex = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((a) => Buffer.from(a).toString('hex'));
const header = fc.record({
  fingerprint: hex(32),
  blockBytes: fc.nat(),
  seal: fc.uint8Array({ minLength: BLOCK_SEAL_BYTES, maxLength: BLOCK_SEAL_BYTES }),
  block: fc.record({
    key: hex(32),
    parent: fc.option(hex(32).filter((key) => !/^0*$/.test(key))),
    index: fc.nat(),
    segment: hex(32),
    digest: hex(8),
    maker: fc.record({ id: fc.constantFrom('w', 'x'.repeat(64)), incarnation: hex(12) }),
  }),
});

const sealer = new FileSealer('a secret of the fleet');

describe('the header of a block on disk', () => {
  it('reads the header that was written, and rejects it after any bit has changed', () => {
    fc.assert(
      fc.property(header, fc.nat(HEADER_BYTES - 1), fc.nat(7), (said, at, bit) => {
        const bytes = encodeHeader(said, sealer);
        expect(bytes.byteLength).toBe(HEADER_BYTES);
        expect(decodeHeader(bytes, sealer)).toEqual(said);
        expect(decodeHeader(bytes.subarray(1), sealer)).toBeNull();
        bytes[at]! ^= 1 << bit;
        expect(decodeHeader(bytes, sealer)).toBeNull();
      }),
    );
  });
});

describe('a folder of blocks', () => {
  let path: string;
  const keys = ['a', 'b', 'c'].map((digit) => digit.repeat(64));

  beforeEach(async () => {
    path = join(await mkdtemp(join(tmpdir(), 'shoal-blocks-')), 'blocks');
  });
  afterEach(() => rm(join(path, '..'), { recursive: true, force: true }));

  it('returns a block that was written until it is removed', async () => {
    const folder = await BlockFolder.open(path);
    await folder.write(keys[0]!, [Uint8Array.of(1, 2), Uint8Array.of(3, 4, 5)]);
    const into = new Uint8Array(3);
    expect(await folder.read(keys[0]!, into, 2)).toBe(true);
    expect([...into]).toEqual([3, 4, 5]);
    expect(await folder.read(keys[0]!, into, 3)).toBe(false);
    expect(await folder.read(keys[1]!, into, 0)).toBe(false);
    await folder.write(keys[1]!, [Uint8Array.of(9)]);
    expect(await folder.list()).toEqual([
      { key: keys[0], byteLength: 5 },
      { key: keys[1], byteLength: 1 },
    ]);
    await folder.remove(keys[0]!);
    await folder.remove(keys[0]!);
    expect(await folder.list()).toEqual([{ key: keys[1], byteLength: 1 }]);
    await folder.close();
  });

  it('is made and locked again when somebody has removed it', async () => {
    const folder = await BlockFolder.open(path);
    await folder.write(keys[0]!, [Uint8Array.of(1)]);
    await rm(path, { recursive: true });
    expect(await folder.read(keys[0]!, new Uint8Array(1), 0)).toBe(false);
    await folder.write(keys[1]!, [Uint8Array.of(2)]);
    expect(await folder.list()).toEqual([{ key: keys[1], byteLength: 1 }]);
    await expect(BlockFolder.open(path)).rejects.toThrow(/another worker uses/);
    await folder.close();
  });

  it('is not held up by pipes in the place of files', async () => {
    const folder = await BlockFolder.open(path);
    const [read, written] = keys;
    execFileSync('mkfifo', [join(path, `${read}.kv`), join(path, `${written}.kv-part`)]);
    await expect(folder.read(read!, new Uint8Array(1), 0)).rejects.toBeInstanceOf(NoRegularFile);
    await expect(folder.write(written!, [Uint8Array.of(1)])).rejects.toThrow();
    await folder.write(written!, [Uint8Array.of(1)]);
    expect(await folder.list()).toEqual([
      { key: read, byteLength: 0 },
      { key: written, byteLength: 1 },
    ]);
    await folder.close();
  });

  it('answers a probe, which leaves no file', async () => {
    const folder = await BlockFolder.open(path);
    await folder.probe();
    expect(await readdir(path)).toEqual(['lock']);
    execFileSync('mkfifo', [join(path, 'probe')]);
    await expect(folder.probe()).rejects.toThrow();
    await folder.close();
  });

  it('is for the eyes of one user, and in the hands of one process', async () => {
    const folder = await BlockFolder.open(path);
    await folder.write(keys[0]!, [Uint8Array.of(1)]);
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    expect((await stat(join(path, `${keys[0]}.kv`))).mode & 0o777).toBe(0o600);
    await expect(BlockFolder.open(path)).rejects.toThrow(Refused);
    await expect(BlockFolder.open(path)).rejects.toThrow(/another worker uses.*a folder of its own/);
    await folder.close();
    await (await BlockFolder.open(path)).close();
  });

  it('removes the unfinished files of a killed process, and leaves foreign files alone', async () => {
    await (await BlockFolder.open(path)).close();
    await writeFile(join(path, `${keys[0]}.kv-part`), 'half');
    await writeFile(join(path, 'notes.txt'), 'mine');
    const folder = await BlockFolder.open(path);
    expect(await folder.list()).toEqual([]);
    expect((await readdir(path)).sort()).toEqual(['lock', 'notes.txt']);
    await folder.close();
  });

  it('leaves the mode of a folder that was there as it is', async () => {
    await mkdir(path);
    await chmod(path, 0o755);
    const folder = await BlockFolder.open(path);
    await folder.write(keys[0]!, [Uint8Array.of(1)]);
    expect((await stat(path)).mode & 0o777).toBe(0o755);
    for (const name of await readdir(path)) expect((await stat(join(path, name))).mode & 0o777).toBe(0o600);
    await folder.close();
  });

  it.each([0o1777, 0o775, 0o707])('refuses a folder of mode %o, which other users may write to', async (mode) => {
    await mkdir(path);
    await chmod(path, mode);
    await expect(BlockFolder.open(path)).rejects.toThrow(Refused);
    await expect(BlockFolder.open(path)).rejects.toThrow(/^--disk-cache-dir: others may write to .* \(mode /);
    expect((await stat(path)).mode & 0o7777).toBe(mode);
    expect(await readdir(path)).toEqual([]);
  });

  it.skipIf(process.getuid?.() !== 0)('refuses a folder of another user, who may write to it', async () => {
    await mkdir(path, { mode: 0o755 });
    await chown(path, 12_345, 12_345);
    await expect(BlockFolder.open(path)).rejects.toThrow(/^--disk-cache-dir: .* belongs to user 12345/);
    expect(await readdir(path)).toEqual([]);
  });

  it('does without a file that is gone by the time it is looked at', async () => {
    const folder = await BlockFolder.open(path);
    await folder.write(keys[0]!, [Uint8Array.of(1)]);
    // In a listing it is there.
    await symlink(join(path, 'gone'), join(path, `${keys[1]!}.kv`));
    expect(await folder.list()).toEqual([{ key: keys[0]!, byteLength: 1 }]);
    await folder.close();
  });

  it('gives the reason why it cannot be used', async () => {
    await writeFile(path, 'a file');
    await expect(BlockFolder.open(path)).rejects.toThrow(/^--disk-cache-dir: cannot use /);
  });

  it('leaves no file after a failed write', async () => {
    const folder = await BlockFolder.open(path);
    await expect(folder.write(keys[0]!, [new Uint8Array(4), null as never])).rejects.toThrow();
    expect(await readdir(path)).toEqual(['lock']);
    await folder.close();
  });
});
