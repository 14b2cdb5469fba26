/** The package ioredis, which developers of shoal have and others need not. */

export interface IoredisClient {
  set(key: string, value: Buffer): Promise<void>;
  get(key: string): Promise<void>;
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
    close: () => redis.disconnect(),
  };
}
