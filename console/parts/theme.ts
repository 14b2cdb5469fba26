import { Store } from '../feed/store.js';

/** Dark or light: as the system has it, unless the reader chose. The choice lasts as long as the tab. */

const NAME = 'shoal-theme';

export type Theme = 'dark' | 'light';

/** The theme that is shown, for components that have to draw anew when it changes. */
export const THEME = new Store<Theme>('light');

/** Shows the page as the reader chose before, or as the system has it. */
export function restoreTheme(): void {
  const stored = sessionStorage.getItem(NAME);
  const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  const theme = stored === 'dark' || stored === 'light' ? stored : system;
  document.documentElement.dataset.theme = theme;
  THEME.set(theme);
}

/** Until the tab closes. */
export function chooseTheme(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
  THEME.set(theme);
  sessionStorage.setItem(NAME, theme);
}
