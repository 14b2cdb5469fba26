/** Timing of calls: one after another, and many in flight. */

/** The clock of the benchmarks, in milliseconds. */
export type Now = () => number;

/** Makes calls one after another until `forMs` have passed. Resolves with the microseconds that each call took. */
export async function roundTrips(call: () => Promise<unknown>, forMs: number, now: Now): Promise<number[]> {
  const micros: number[] = [];
  const untilMs = now() + forMs;
  for (let startMs = now(); startMs < untilMs; ) {
    await call();
    const endMs = now();
    micros.push(1000 * (endMs - startMs));
    startMs = endMs;
  }
  return micros;
}

/** Keeps `inFlight` calls in flight until `forMs` have passed. Resolves with the calls completed per second. */
export async function callsPerSecond(
  call: () => Promise<unknown>,
  inFlight: number,
  forMs: number,
  now: Now,
): Promise<number> {
  const startMs = now();
  let calls = 0;
  const caller = async () => {
    while (now() - startMs < forMs) {
      await call();
      calls++;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return (1000 * calls) / (now() - startMs);
}

/** Reads a stream to its end. Resolves with the items per second. */
export async function itemsPerSecond(stream: AsyncIterable<unknown>, now: Now): Promise<number> {
  const startMs = now();
  let items = 0;
  for await (const _ of stream) items++;
  return (1000 * items) / (now() - startMs);
}
