import type { Palette } from '../ring/ring-canvas.js';
import { THEME, type Theme } from './theme.js';

/** The colours of the page's style, for canvases. */

const NAMES = ['ink', 'local', 'remote', 'computed', 'copy', 'bad', 'faint'] as const;
let known: { readonly theme: Theme; readonly palette: Palette } | null = null;

/** The palette of the theme that is shown now. */
export function paletteOf(): Palette {
  const theme = THEME.value;
  if (known?.theme === theme) return known.palette;
  const style = getComputedStyle(document.documentElement);
  const palette = Object.fromEntries(
    NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
  ) as Palette;
  known = { theme, palette };
  return palette;
}
