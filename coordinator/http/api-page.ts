import { createHash } from 'node:crypto';

/** The page of the API for readers in a browser: plain HTML that asks nothing of any other server. */

interface Operation {
  readonly summary: string;
  readonly requestBody?: { readonly content: { readonly 'application/json'?: { readonly schema: BodySchema } } };
}

interface BodySchema {
  readonly properties?: Readonly<Record<string, { readonly description?: string }>>;
  readonly required?: readonly string[];
}

const STYLE =
  'body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}' +
  'code{font-family:ui-monospace,monospace}td{padding:.2rem 1rem .2rem 0;vertical-align:top}' +
  'h2{margin-top:2rem;font-size:1.1rem}';

/** Lets the page have its style, and nothing else. */
export const API_PAGE_POLICY = {
  'content-security-policy': `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; frame-ancestors 'none'`,
};

/** @param document of `openApi` */
export function apiPage(document: Readonly<Record<string, unknown>>): string {
  const paths = Object.entries(document.paths as Record<string, Record<string, Operation>>);
  const sections = paths.flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => section(`${method.toUpperCase()} ${path}`, operation)),
  );
  return (
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>shoal: HTTP API</title><style>${STYLE}</style></head>` +
    `<body><h1>shoal: HTTP API</h1><p>For programs: <a href="openapi.json">openapi.json</a>.</p>${sections.join('')}</body></html>`
  );
}

function section(title: string, { summary, requestBody }: Operation): string {
  const schema = requestBody?.content['application/json']?.schema;
  const rows = Object.entries(schema?.properties ?? {}).map(([name, { description = '' }]) => {
    const needed = schema?.required?.includes(name) ? ' (required)' : '';
    return `<tr><td><code>${escaped(name)}</code>${needed}</td><td>${escaped(description)}</td></tr>`;
  });
  const table = rows.length > 0 ? `<table>${rows.join('')}</table>` : '';
  return `<h2><code>${escaped(title)}</code></h2><p>${escaped(summary)}</p>${table}`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
