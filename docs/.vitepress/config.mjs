import { readdirSync } from 'node:fs';

/** The site of these pages: `npm run site` writes it to `docs/.vitepress/dist`. The pages are plain Markdown, and work without it. */

const REPOSITORY = 'https://github.com/your-fork/shoal/blob/main';

const page = (name, text) => ({ text, link: `/${name}` });

const runbooks = readdirSync(new URL('../runbooks', import.meta.url))
  .filter((name) => /^Shoal\w+\.md$/.test(name))
  .map((name) => page(`runbooks/${name.replace('.md', '')}`, name.replace(/^Shoal|\.md$/g, '')));

const sidebar = [
  {
    text: 'Begin',
    items: [
      page('TUTORIAL', 'An hour with shoal'),
      page('DECIDE', 'When it pays'),
      page('COMPARISON', 'Beside others'),
      page('BENCHMARKS', 'Measurements'),
      page('FAQ', 'Questions'),
    ],
  },
  {
    text: 'Deploy and run',
    items: [
      page('PHASES', 'Four phases'),
      page('DEPLOY', 'Docker Compose'),
      page('KUBERNETES', 'Kubernetes'),
      page('DRILL', 'Everything is gone'),
      page('SECURITY', 'Security'),
      page('TENANTS', 'Tenants'),
      page('PRIVACY', 'Privacy'),
      page('TRACING', 'Traces and logs'),
      page('METRICS', 'Metrics'),
      page('TROUBLESHOOTING', 'Troubleshooting'),
    ],
  },
  { text: 'Runbooks', link: '/runbooks/', collapsed: true, items: runbooks },
  {
    text: 'Use',
    items: [
      page('API', 'HTTP API'),
      page('CLI', 'Commands'),
      page('OPTIONS', 'Options'),
      page('CONSOLE', 'Console'),
      page('MODELS', 'Models'),
      page('ADAPTERS', 'Adapters'),
      page('KV', 'Cache for other engines'),
      page('ACTORS', 'Actors'),
      page('GPU', 'Devices'),
    ],
  },
  {
    text: 'How it works',
    items: [
      page('ARCHITECTURE', 'Architecture'),
      page('KEYS', 'Keys of blocks'),
      page('PEER-PROTOCOL', 'Protocol of peers'),
    ],
  },
];

/** Links out of this folder lead into the repository. */
function linksToRepository(md) {
  const before =
    md.renderer.rules.link_open ?? ((tokens, at, options, _, self) => self.renderToken(tokens, at, options));
  md.renderer.rules.link_open = (tokens, at, options, env, self) => {
    const href = tokens[at].attrGet('href');
    const [path, ...rest] = new URL(href, `http://site/docs/${env.relativePath ?? ''}`).pathname.split('/docs/');
    const leaves = !/^[a-z]+:|^#/.test(href) && rest.length === 0;
    if (leaves) tokens[at].attrSet('href', `${REPOSITORY}${path}`);
    return before(tokens, at, options, env, self);
  };
}

export default {
  title: 'shoal',
  description: 'A fleet of workers that share the K/V of prompt prefixes.',
  lang: 'en',
  base: process.env.SITE_BASE ?? '/',
  cleanUrls: true,
  lastUpdated: false,
  srcExclude: ['pictures/**'],
  markdown: { config: linksToRepository },
  rewrites: { 'runbooks/README.md': 'runbooks/index.md' },
  // test/unit/links.test.ts checks links out of this folder.
  ignoreDeadLinks: [/^(?:\.\/)?(?:\.\.\/)+(?:deploy|src|clients|examples|bench|test|coordinator|workers|cli)\//],
  themeConfig: { sidebar, search: { provider: 'local' }, outline: [2, 3] },
  vite: { build: { chunkSizeWarningLimit: 2_000 } },
};
