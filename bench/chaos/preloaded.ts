import { fileURLToPath, pathToFileURL } from 'node:url';

/** The variable that preloads one of this folder's modules into each Node process that gets it. */
export function preloaded(module: 'shifted-clock' | 'lying-cache'): { readonly NODE_OPTIONS: string } {
  const path = fileURLToPath(new URL(`./${module}.js`, import.meta.url));
  return { NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import=${pathToFileURL(path).href}`.trim() };
}
