import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { startNatsServer } from '../../../../cli/nats/embedded-server.js';
import { natsServerVersion, runProgram } from '../../../../cli/nats/install.js';

/** A program that writes its environment and that of its shell to a file, instead of a nats-server. */
function program() {
  const dir = mkdtempSync(join(tmpdir(), 'shoal-nats-env-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const [path, seen] = [join(dir, 'nats-server'), join(dir, 'seen')];
  const parent = 'tr "\\0" "\\n" </proc/$PPID/environ 2>/dev/null';
  writeFileSync(path, `#!/bin/sh\n{ env; ${parent}; } >'${seen}'\necho 'nats-server: v2.12.0'\nexit 1\n`, {
    mode: 0o755,
  });
  return { dir, path, seen: () => (existsSync(seen) ? readFileSync(seen, 'utf8') : '') };
}

it('a nats-server and its guard get no variable of shoal, nor others that they do not need', async () => {
  vi.stubEnv('SHOAL_SECRET', 'the secret of the fleet');
  vi.stubEnv('ANOTHER_SECRET', 'of another program');
  onTestFinished(() => void vi.unstubAllEnvs());
  const { dir, path, seen } = program();
  await expect(startNatsServer({ path, dir })).rejects.toThrow('cannot start nats-server');
  expect(seen()).toMatch(/^PATH=/m);
  expect(seen()).not.toMatch(/secret/i);
});

it('programs that find or install a server get no variable of shoal', async () => {
  vi.stubEnv('SHOAL_SECRET', 'the secret of the fleet');
  vi.stubEnv('https_proxy', 'http://proxy.example');
  onTestFinished(() => void vi.unstubAllEnvs());
  // The parent of these is this process, whose environment at its start the variables are not in.
  for (const run of [natsServerVersion, (path: string) => runProgram(path, []).catch(() => '')]) {
    const { path, seen } = program();
    await run(path);
    expect(seen()).toMatch(/^PATH=/m);
    expect(seen()).not.toContain('the secret of the fleet');
  }
});
