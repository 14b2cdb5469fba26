import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

/** How the console is built into `dist/console`. The coordinator serves it with a policy that allows no code and no style in the page itself. */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: '/',
  logLevel: 'warn',
  build: {
    outDir: fileURLToPath(new URL('../dist/console', import.meta.url)),
    emptyOutDir: true,
    target: 'es2022',
    // A file inlined into the style would be another source than the policy allows.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
  },
});
