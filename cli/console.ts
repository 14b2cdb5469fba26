import { spawn } from 'node:child_process';
import { readValues } from '../src/config/config.js';
import { Unavailable } from '../src/errors.js';
import { callHttp } from './call-http.js';
import type { CommandContext } from './context.js';

/** `shoal console`: prints the address of the console, and opens it where there is a desktop. */

const ANSWER_MS = 10_000;
/** A program that opens an address, and fails, does so within this time. */
const OPENING_MS = 3_000;

/** The role that the page would have with the caller's key. */
type Standing = 'open' | 'operator' | 'user' | 'no key' | 'wrong key';

const ADVICE: Readonly<Record<Standing, string>> = {
  open: 'no key is needed: everyone who reaches it may look and act',
  operator: 'the page asks for a key; the key in SHOAL_API_KEY is an operator’s, and may act',
  user: 'the page asks for a key; the key in SHOAL_API_KEY is a user’s, and may look and chat',
  'no key': 'the page asks for a key, and keeps it in its tab; shoal key makes one',
  'wrong key': 'the page asks for a key; the coordinator does not know the key in SHOAL_API_KEY',
};

/** @throws Unavailable if no coordinator answers there, or one without a console */
export async function openConsolePage(context: CommandContext): Promise<number> {
  const { url, apiKey, json } = readValues('console', context);
  const address = new URL('/', url).href;
  await checkPage(address);
  const standing = await standingOf(url, apiKey);
  const opener = openerOf(process.platform, context.environment, process.stdout.isTTY === true && !json);
  const opened = opener !== null && (await open(opener, address));
  if (json) {
    context.io.out(`${JSON.stringify({ url: address, standing, opened })}\n`);
    return 0;
  }
  context.io.out(`${address}\n`);
  context.io.err(`${ADVICE[standing]}\n${opened ? '' : 'open the address in a browser\n'}`);
  return 0;
}

/**
 * The program that opens an address on this desktop; null without a desktop or a terminal. It gets the address alone: a key in it would show in the
 * list of processes.
 */
export function openerOf(
  platform: NodeJS.Platform,
  environment: Readonly<Record<string, string | undefined>>,
  terminal: boolean,
): string | null {
  if (!terminal) return null;
  if (platform === 'darwin') return 'open';
  return environment.DISPLAY || environment.WAYLAND_DISPLAY ? 'xdg-open' : null;
}

async function checkPage(address: string): Promise<void> {
  const answer = await ask(address, null);
  const text = await answer.text();
  if (answer.ok && text.includes('<div id="console">')) return;
  throw new Unavailable(
    `no console at ${address}: HTTP status ${answer.status}; set --url to the address of a coordinator`,
  );
}

async function standingOf(url: string, apiKey: string | null): Promise<Standing> {
  const fleet = new URL('/v1/fleet', url).href;
  if ((await ask(fleet, null)).ok) return 'open';
  if (apiKey === null) return 'no key';
  const { status } = await ask(fleet, apiKey);
  if (status === 401) return 'wrong key';
  return (await ask(new URL('/v1/fleet/tenants', url).href, apiKey)).ok ? 'operator' : 'user';
}

async function ask(address: string, apiKey: string | null): Promise<Response> {
  const headers = apiKey === null ? {} : { authorization: `Bearer ${apiKey}` };
  return callHttp(new URL(address), {
    headers,
    signal: AbortSignal.timeout(ANSWER_MS),
    // A key goes only to a coordinator that proves its name.
    trustsThisMachine: apiKey === null,
  }).catch((error: unknown) => {
    const why = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new Unavailable(`cannot reach a coordinator at ${address}: ${why}; start one with shoal up, or set --url`);
  });
}

/** False if the program is missing or fails. Programs that stay with the browser are left alone. */
function open(program: string, address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(program, [address], { stdio: 'ignore', detached: true });
    const timer = setTimeout(() => resolve(true), OPENING_MS);
    child.once('error', () => resolve(false));
    child.once('exit', (code) => resolve(code === 0));
    child.once('close', () => clearTimeout(timer));
    child.unref();
  });
}
