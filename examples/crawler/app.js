import { createServer } from 'node:http';
import { connect } from 'shoal';
import { Crawler, Frontier } from './code.js';

// Four actors crawl a site. A queue hands them pages, and an actor knows which pages have been found. Without an address, the site is one of this program.
// shoal run examples/crawler/app.js [URL] --actors examples/crawler/code.js

const CRAWLERS = 4;
const PAGES = 200;

/** Page `n` links to 2n+1 and 2n+2, and back to the first. */
const site = createServer(({ url }, response) => {
  const n = Number(url.slice(1));
  const links = [2 * n + 1, 2 * n + 2, 0].filter((page) => page < PAGES);
  response.end(links.map((page) => `<a href="/${page}">page ${page}</a>`).join('\n'));
});
await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
const start = process.argv[2] ?? `http://127.0.0.1:${site.address().port}/0`;

const fleet = await connect();
const queue = await fleet.queue({ capacity: 10_000 });
const frontier = await fleet.actor(Frontier, { args: [5_000] });
for (const url of await frontier.add([start])) await queue.put(url);
const crawlers = await Promise.all(Array.from({ length: CRAWLERS }, () => fleet.actor(Crawler)));
const pages = await Promise.all(crawlers.map((crawler) => crawler.run(queue, frontier, CRAWLERS)));
console.log(`${pages.reduce((sum, count) => sum + count, 0)} pages by ${CRAWLERS} crawlers`);
site.close();
await fleet.close();
