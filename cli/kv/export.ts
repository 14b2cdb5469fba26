import { access } from 'node:fs/promises';
import { formatByteSize } from '../../src/byte-size.js';
import { SystemClock } from '../../src/clock.js';
import { readValues } from '../../src/config/config.js';
import { WrongUsage } from '../../src/config/wrong-usage.js';
import type { CommandContext } from '../context.js';
import { ArchiveWriter } from './archive-writer.js';
import { KvHttp } from './kv-http.js';
import { retried } from './retried.js';

/** `shoal kv export FILE`: writes the objects of a fleet into a file. Run again after an interruption, it continues where it stopped. */
export async function kvExport(context: CommandContext): Promise<number> {
  const { url, apiKey, prefix, json } = readValues('kv export', context);
  const path = context.args[0] ?? '';
  if (await exists(path)) throw new WrongUsage(`file: ${path} exists; choose another name, or remove it`);
  const writer = await ArchiveWriter.open(path, prefix);
  try {
    const { objects: before } = writer;
    const gone = await copyAll(new KvHttp(url, apiKey), prefix, writer);
    await writer.finish();
    const { objects, bytes } = writer;
    const row = { file: path, objects, bytes, resumed_after: before, gone };
    context.io.out(json ? `${JSON.stringify(row)}\n` : `${describe(row)}\n`);
    return 0;
  } finally {
    await writer.close();
  }
}

/** Gives the number of objects that went between the list and the read: deleted, expired, or evicted. */
async function copyAll(fleet: KvHttp, prefix: string, writer: ArchiveWriter): Promise<number> {
  const clock = new SystemClock();
  let gone = 0;
  for (;;) {
    const { keys, next } = await retried(clock, () => fleet.list(prefix, writer.after));
    for (const key of keys) {
      if (writer.has(key)) continue;
      const found = await retried(clock, () => fleet.read(key, (object, bytes) => writer.add(object, bytes)));
      if (!found) gone++;
    }
    if (next === null) return gone;
    await writer.mark(next);
  }
}

function describe(row: { file: string; objects: number; bytes: number; resumed_after: number; gone: number }): string {
  const resumed = row.resumed_after > 0 ? `, ${row.resumed_after} of them by an earlier run` : '';
  const gone = row.gone > 0 ? `; ${row.gone} went while they were being read` : '';
  return `wrote ${row.objects} objects (${formatByteSize(row.bytes)})${resumed} into ${row.file}${gone}`;
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
