/** Dark or light: as the system has it, unless the reader chose. The choice lasts as long as the tab. */

const NAME = 'shoal-theme';

export type Theme = 'dark' | 'light';

/** Shows the page as the reader chose before. */
export function restoreTheme(): void {
  const stored = sessionStorage.getItem(NAME);
  if (stored === 'dark' || stored === 'light') document.documentElement.dataset.theme = stored;
}

export function currentTheme(): Theme {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === 'dark' || chosen === 'light') return chosen;
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}

export function chooseTheme(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
  sessionStorage.setItem(NAME, theme);
}
