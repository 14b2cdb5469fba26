import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../src/clock.js';
import { createLog } from '../../src/log.js';
import { OpenFilesWatch } from '../../src/open-files-watch.js';

const LOOK_MS = 5_000;

describe('the watch over open files', () => {
  let clock: SimulatedClock;
  let watch: OpenFilesWatch;
  let fault: string | null;
  let lines: { msg: string; reason?: string }[];

  beforeEach(() => {
    clock = new SimulatedClock();
    [fault, lines] = [null, []];
    const log = createLog({ level: 'info', write: (line) => lines.push(JSON.parse(line)) });
    watch = new OpenFilesWatch(clock, log, () => {
      if (fault !== null) throw Object.assign(new Error(`${fault}: open '/dev/null'`), { code: fault });
    });
    watch.start();
  });
  afterEach(() => watch.stop());

  it('says once in a while that no file can be opened, and when files can be opened again', async () => {
    await clock.advance(LOOK_MS);
    expect(lines).toEqual([]);
    fault = 'EMFILE';
    await clock.advance(4 * LOOK_MS);
    expect(lines).toMatchObject([
      { msg: expect.stringMatching(/can open no more files.*ulimit -n/), reason: expect.stringContaining('EMFILE') },
    ]);
    fault = null;
    await clock.advance(LOOK_MS);
    expect(lines.at(-1)!.msg).toBe('this process can open files again');
    const said = lines.length;
    await clock.advance(LOOK_MS);
    expect(lines.length).toBe(said);
  });

  it('leaves other errors to those that need the file', async () => {
    fault = 'EACCES';
    await clock.advance(4 * LOOK_MS);
    expect(lines).toEqual([]);
  });

  it('can open a file in this process', async () => {
    const real = new OpenFilesWatch(clock, createLog({ level: 'info', write: (line) => lines.push(JSON.parse(line)) }));
    real.start();
    await clock.advance(LOOK_MS);
    real.stop();
    expect(lines).toEqual([]);
  });
});
