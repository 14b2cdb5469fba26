import { closeSync, ftruncateSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { memoryFile } from '../../../src/native/libc.js';
import { mapSharedFile, SharedFile } from '../../../src/native/shared-file.js';

const TOKEN = '00ff'.repeat(8);
const pieces = [
  { at: 0, bytes: Uint8Array.of(1, 2) },
  { at: 9_000, bytes: Uint8Array.of(3) },
];

describe.runIf(process.platform === 'linux')('a file of shared bytes', () => {
  it('has its pieces, zeros between them, and a copy for each reader who writes', () => {
    const file = SharedFile.write(10_000, pieces, TOKEN)!;
    const [own, other] = [file.map()!, mapSharedFile(file.place, 10_000)!];
    expect([own.byteLength, own[0], own[1], own[5_000], own[9_000]]).toEqual([10_000, 1, 2, 0, 3]);
    own[0] = 9;
    expect([own[0], other[0], file.read(0, 1)[0]]).toEqual([9, 1, 1]);
    file.close();
    expect([other[1], other[9_000]]).toEqual([2, 3]);
    expect(mapSharedFile(file.place, 10_000)).toBeNull();
  });

  it('is mapped by its name, its length, and only if it can never change', () => {
    const file = SharedFile.write(10_000, pieces, TOKEN)!;
    expect(mapSharedFile({ ...file.place, token: '11'.repeat(16) }, 10_000)).toBeNull();
    expect(mapSharedFile(file.place, 9_999)).toBeNull();
    file.close();
    const open = memoryFile(`shoal-object-${TOKEN}`)!;
    ftruncateSync(open, 10_000);
    expect(mapSharedFile({ pid: process.pid, fileDescriptor: open, token: TOKEN }, 10_000)).toBeNull();
    closeSync(open);
  });
});
