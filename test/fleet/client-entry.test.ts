import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** The shared libraries of a process that has imported an entry of this package. */
async function librariesOf(entry: string): Promise<string[]> {
  const program = `await import('${entry}'); console.log(JSON.stringify(process.report.getReport().sharedObjects));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: ROOT,
    maxBuffer: 2 ** 26,
  });
  return JSON.parse(stdout) as string[];
}

it('shoal/client loads no native library, neither ONNX Runtime nor koffi', async () => {
  const native = (paths: string[]) => paths.filter((path) => /\.node$|onnxruntime|koffi/.test(path));
  expect(native(await librariesOf('shoal/client'))).toEqual([]);
  // The whole package does: this test would see it.
  expect(native(await librariesOf('shoal'))).not.toEqual([]);
});
