import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { setSendBuffer } from '../../../src/native/libc.js';

/** More than a Unix socket buffers by default, less than the maximum of any Linux. */
const BYTES = 300 * 1024;

it.runIf(process.platform === 'linux')('a Unix socket takes more at once when its send buffer is larger', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-send-buffer-'));
  const server = net.createServer({ pauseOnConnect: true }).listen(join(folder, 'socket'));
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const socket = net.connect(join(folder, 'socket'));
  const [other] = (await accepted) as [net.Socket];
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  setSendBuffer(fd, BYTES);
  // The other end reads nothing, so the write completes only if the kernel has buffered all of it.
  await new Promise((resolve) => socket.write(Buffer.alloc(BYTES), resolve));
  expect(other.bytesRead).toBe(0);
  socket.destroy();
  other.destroy();
  server.close();
  await rm(folder, { recursive: true });
});
