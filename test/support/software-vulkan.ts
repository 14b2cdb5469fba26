import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/**
 * Before all tests: lets this process, and those that it starts, find a Vulkan device, in software unless the environment names a driver. Where
 * there is none, tests that need one are skipped, and `NO_WEBGPU` says why.
 */
export async function setup(): Promise<void> {
  const { env } = process;
  if (env.VK_ICD_FILENAMES !== undefined || env.VK_DRIVER_FILES !== undefined) return;
  const script = fileURLToPath(new URL('software-vulkan.sh', import.meta.url));
  try {
    const { stdout } = await promisify(execFile)(script, { timeout: 180_000 });
    for (const [, name, value] of stdout.matchAll(/^export (\w+)=(.*)$/gm)) env[name!] = value!;
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    env.NO_WEBGPU = `there is no Vulkan device, nor one in software: ${stderr?.trim() || message}`;
    console.warn(`Tests of the webgpu device are skipped: ${env.NO_WEBGPU}`);
  }
}

/** Why tests that need a Vulkan device are skipped; null where they are not. */
export function webGpuMissing(): string | null {
  return process.env.NO_WEBGPU ?? null;
}
