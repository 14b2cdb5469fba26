/** Dark or light: as the system has it, unless the reader chose. The choice lasts as long as the tab. */

const NAME = 'shoal-theme';

export type Theme = 'dark' | 'light';

/** Shows the page as the reader chose before, or as the system has it. */
export function restoreTheme(): void {
  const stored = sessionStorage.getItem(NAME);
  const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  document.documentElement.dataset.theme = stored === 'dark' || stored === 'light' ? stored : system;
}

export function currentTheme(): Theme {
  return document.documentElement.dataset.theme === 'dark' ? 'dark' : 'light';
}

export function chooseTheme(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
  sessionStorage.setItem(NAME, theme);
}
