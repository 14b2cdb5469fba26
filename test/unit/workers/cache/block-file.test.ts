import { execFileSync } from 'node:child_process';
import {
  chmod,
  chown,
  lchown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
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

  it('follows no link in the place of a file', async () => {
    const mine = join(path, '..', 'mine');
    const [block, unfinished] = keys;
    const text = async () => [await readFile(mine, 'utf8'), (await stat(mine)).mode & 0o777];
    await writeFile(mine, 'untouched', { mode: 0o640 });
    const folder = await BlockFolder.open(path);
    await symlink(mine, join(path, `${block}.kv`));
    await symlink(mine, join(path, `${unfinished}.kv-part`));
    await symlink(mine, join(path, 'probe'));
    await expect(folder.read(block!, new Uint8Array(1), 0)).rejects.toBeInstanceOf(NoRegularFile);
    await expect(folder.write(unfinished!, [Uint8Array.of(1)])).rejects.toThrow(/EEXIST/);
    await expect(folder.probe()).rejects.toThrow(/ELOOP/);
    expect(await text()).toEqual(['untouched', 0o640]);
    // A block takes the place of a link, and its removal removes the link.
    await folder.write(unfinished!, [Uint8Array.of(1)]);
    await folder.write(block!, [Uint8Array.of(2)]);
    expect(await folder.read(block!, new Uint8Array(1), 0)).toBe(true);
    await rm(join(path, 'probe'));
    await symlink(mine, join(path, `${keys[2]}.kv`));
    await folder.remove(keys[2]!);
    await folder.close();
    await rm(join(path, 'lock'));
    await symlink(mine, join(path, 'lock'));
    await expect(BlockFolder.open(path)).rejects.toThrow(/ELOOP/);
    expect(await text()).toEqual(['untouched', 0o640]);
  });

  it('stays where it was opened when a link on the way is changed', async () => {
    const [there, elsewhere, link] = ['there', 'elsewhere', 'link'].map((name) => join(path, '..', name));
    await mkdir(there!, { mode: 0o700 });
    await mkdir(elsewhere!, { mode: 0o700 });
    await symlink('there', link!);
    const folder = await BlockFolder.open(join(link!, 'blocks'));
    await rm(link!);
    await symlink('elsewhere', link!);
    await folder.write(keys[0]!, [Uint8Array.of(1)]);
    expect(await readdir(join(there!, 'blocks'))).toContain(`${keys[0]}.kv`);
    expect(await readdir(elsewhere!)).toEqual([]);
    await folder.close();
  });

  it('names a folder on the way that others may write to, and how to mend it', async () => {
    const doubts: string[] = [];
    const parent = join(path, '..');
    const opened = async (mode: number) => {
      await chmod(parent, mode);
      doubts.length = 0;
      await (await BlockFolder.open(path, (doubt) => doubts.push(doubt))).close();
      return [...doubts];
    };
    expect(await opened(0o777)).toEqual([
      expect.stringMatching(/^--disk-cache-dir: others may write to .* \(mode 777\): .*\(chmod go-w, or chmod \+t\)$/),
    ]);
    expect(await opened(0o770)).toHaveLength(1);
    expect(await opened(0o1777)).toEqual([]);
    expect(await opened(0o755)).toEqual([]);
  });

  it('gives the reason why it cannot be used', async () => {
    await writeFile(path, 'a file');
    await expect(BlockFolder.open(path)).rejects.toThrow(/^--disk-cache-dir: cannot use /);
  });

  it('does not take a folder from a link of another user', async () => {
    const shared = join(path, '..', 'shared');
    await mkdir(shared);
    await chmod(shared, 0o1777);
    await symlink(path, join(shared, 'link'));
    await (await BlockFolder.open(join(shared, 'link'))).close();
    if (process.getuid?.() !== 0) return;
    await lchown(join(shared, 'link'), 12_345, 12_345);
    await expect(BlockFolder.open(join(shared, 'link'))).rejects.toThrow(/^--disk-cache-dir: the link .* user 12345/);
  });

  it('leaves no file after a failed write', async () => {
    const folder = await BlockFolder.open(path);
    await expect(folder.write(keys[0]!, [new Uint8Array(4), null as never])).rejects.toThrow();
    expect(await readdir(path)).toEqual(['lock']);
    await folder.close();
  });
});
