/** The API key of this tab. It is gone when the tab closes, and is never written into a cookie, an address or the disk cache. */

const NAME = 'shoal-key';

export function storedKey(): string | null {
  return sessionStorage.getItem(NAME);
}

export function storeKey(key: string | null): void {
  if (key === null) sessionStorage.removeItem(NAME);
  else sessionStorage.setItem(NAME, key);
}
