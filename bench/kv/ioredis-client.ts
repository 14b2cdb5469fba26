/** The package ioredis, which developers of shoal have and others need not. */

export interface IoredisClient {
  set(key: string, value: Buffer): Promise<void>;
  get(key: string): Promise<void>;
  /** Sends a command so many times before it waits for the replies, as pipelines of redis-py do. */
  setPipelined(key: string, value: Buffer, commands: number): Promise<void>;
  getPipelined(key: string, commands: number): Promise<void>;
  close(): void;
}

/** Null where the package is not installed. */
export async function ioredisClient(port: number): Promise<IoredisClient | null> {
  const module = await import('ioredis').catch(() => null);
  if (module === null) return null;
  const redis = new module.Redis(port, '127.0.0.1');
  return {
    set: async (key, value) => void (await redis.set(key, value)),
    get: async (key) => void (await redis.getBuffer(key)),
    setPipelined: async (key, value, commands) => {
      const pipeline = redis.pipeline();
      for (let i = 0; i < commands; i++) pipeline.set(key, value);
      succeeded(await pipeline.exec());
    },
    getPipelined: async (key, commands) => {
      const pipeline = redis.pipeline();
      for (let i = 0; i < commands; i++) pipeline.getBuffer(key);
      succeeded(await pipeline.exec());
    },
    close: () => redis.disconnect(),
  };
}

/** Throws the first error among the replies of a pipeline. */
function succeeded(replies: readonly (readonly [Error | null, unknown])[] | null): void {
  if (replies === null) throw new Error('the pipeline was aborted');
  for (const [error] of replies) if (error !== null) throw error;
}
