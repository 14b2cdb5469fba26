import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheHome } from '../config/cache-folder.js';
import type { EnvironmentVariables } from '../config/read-options.js';
import { WrongUsage } from '../config/wrong-usage.js';
import { isThisMachine } from './proxy.js';

/** How the hub is reached, and where its cache is, by the variables that the hub's own libraries read. */
export interface HubSettings {
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** The folder of all repositories. */
  readonly cacheDir: string;
  /** Never logged, and sent to the endpoint alone. */
  readonly token: string | null;
  readonly offline: boolean;
  /** For the variables that name proxies. */
  readonly environment: EnvironmentVariables;
}

const ENDPOINT = 'https://huggingface.co';
const TRUE = ['1', 'on', 'yes', 'true'];
const TOKEN_CHARS = 1024;

/**
 * Reads `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_DISABLE_IMPLICIT_TOKEN`, `HF_HUB_OFFLINE` and
 * `TRANSFORMERS_OFFLINE`, and the file in which `hf auth login` leaves the token.
 * @throws WrongUsage that names the variable
 */
export function hubSettings(environment: EnvironmentVariables): HubSettings {
  const home = hubHome(environment);
  const endpoint = hubEndpoint(environment.HF_ENDPOINT || ENDPOINT);
  const offline = isTrue(environment.HF_HUB_OFFLINE) || isTrue(environment.TRANSFORMERS_OFFLINE);
  const token = offline ? null : hubToken(home, environment);
  if (token !== null && endpoint.protocol === 'http:' && !isThisMachine(endpoint)) {
    throw new WrongUsage(
      `HF_ENDPOINT: must begin with https:// while a token is set, got ${JSON.stringify(endpoint.href)}; ` +
        'to send none, unset HF_TOKEN and set HF_HUB_DISABLE_IMPLICIT_TOKEN=1',
    );
  }
  const named = environment.HF_HUB_CACHE || environment.HUGGINGFACE_HUB_CACHE;
  const cacheDir = named ? expanded(named, environment) : join(home, 'hub');
  return { endpoint: endpoint.href.replace(/\/+$/, ''), cacheDir, token, offline, environment };
}

function hubHome(environment: EnvironmentVariables): string {
  if (environment.HF_HOME) return expanded(environment.HF_HOME, environment);
  const base = cacheHome(environment);
  if (base !== null) return join(base, 'huggingface');
  throw new WrongUsage('HF_HOME: must be set to a folder, since this user has no home folder, got nothing');
}

function expanded(path: string, { HOME: home = '' }: EnvironmentVariables): string {
  return path === '~' || path.startsWith('~/') ? join(home, path.slice(1)) : path;
}

function isTrue(text: string | undefined): boolean {
  return TRUE.includes((text ?? '').trim().toLowerCase());
}

function hubEndpoint(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if ((url?.protocol === 'https:' || url?.protocol === 'http:') && url.username === '' && url.search === '') return url;
  throw new WrongUsage(
    'HF_ENDPOINT: must be a URL that begins with https:// or http://, without a user and without a query',
  );
}

/** The token of the variable, else of the file that the hub's command for logging in writes. */
function hubToken(home: string, environment: EnvironmentVariables): string | null {
  const given = (environment.HF_TOKEN ?? environment.HUGGING_FACE_HUB_TOKEN ?? '').trim();
  if (given !== '') return checkedToken('HF_TOKEN', given);
  if (isTrue(environment.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return null;
  const path = environment.HF_TOKEN_PATH ? expanded(environment.HF_TOKEN_PATH, environment) : join(home, 'token');
  try {
    const text = readFileSync(path, 'utf8').trim();
    return text === '' ? null : checkedToken(`the token in ${path}`, text);
  } catch (error) {
    if (error instanceof WrongUsage) throw error;
    return null;
  }
}

/** A token goes into a header, so a line break in it would be a second header. */
function checkedToken(name: string, token: string): string {
  if (token.length <= TOKEN_CHARS && /^[\x21-\x7e]+$/.test(token)) return token;
  throw new WrongUsage(`${name}: must have 1 to ${TOKEN_CHARS} printable characters without blanks`);
}
