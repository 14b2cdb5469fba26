/** The part of the page's address after `#`: a page and its filter, such as `#requests?worker=worker-1`. */

export interface PageAddress {
  readonly page: string;
  readonly params: URLSearchParams;
}

/** The page and the parameters of the part of an address after `#`. Pure. */
export function readAddress(hash: string): PageAddress {
  const [page = '', query = ''] = hash.replace(/^#/, '').split('?', 2);
  return { page, params: new URLSearchParams(query) };
}

/** A link to a page of the console. Pure. */
export function addressOf(page: string, params: Readonly<Record<string, string>> = {}): string {
  const query = new URLSearchParams(params).toString();
  return query === '' ? `#${page}` : `#${page}?${query}`;
}
