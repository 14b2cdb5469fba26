/** Knows which pages have been found, and how many of them are still to be read. */
export class Frontier {
  seen = new Set();
  open = 0;

  constructor(limit) {
    this.limit = limit;
  }

  /** Those of the pages that nobody has found before. */
  add(urls) {
    const fresh = [...new Set(urls)].filter((url) => !this.seen.has(url)).slice(0, this.limit - this.seen.size);
    for (const url of fresh) this.seen.add(url);
    this.open += fresh.length;
    return fresh;
  }

  /** A page has been read. Returns how many are left. */
  done() {
    this.open--;
    return this.open;
  }
}

/** Reads pages from a queue, and puts the links of the same site into it, until the queue has no page but the word that all is done. */
export class Crawler {
  async run(queue, frontier, crawlers) {
    let pages = 0;
    for (let url = await queue.take(); url !== null; url = await queue.take()) {
      for (const link of await frontier.add(await linksOf(url))) await queue.put(link);
      pages++;
      if ((await frontier.done()) === 0) for (let i = 0; i < crawlers; i++) await queue.put(null);
    }
    return pages;
  }
}

async function linksOf(url) {
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) }).catch(() => null);
  if (!response?.ok) return [];
  const links = [...(await response.text()).matchAll(/href="([^"#]+)"/g)].map(([, link]) => new URL(link, url));
  return links.filter(({ origin }) => origin === new URL(url).origin).map(({ href }) => href);
}
