import { InvalidRequest } from '../errors.js';

/** Subjects: tokens joined by dots. In a pattern, `*` matches one token, and `>` at the end matches one or more. */

const TOKEN = /^[^\s.*>]+$/;
const SUBJECT = /^[^\s.*>]+(?:\.[^\s.*>]+)*$/;
const SUBJECT_CHARS = 1_024;

/** Throws InvalidRequest unless messages can be published to the subject. */
export function checkSubject(subject: string): void {
  if (subject.length > SUBJECT_CHARS || !SUBJECT.test(subject)) {
    throw new InvalidRequest(
      `cannot publish to the subject ${JSON.stringify(subject.slice(0, 80))}: it must be tokens joined by dots, without spaces or wildcards`,
    );
  }
}

/** Throws InvalidRequest unless the pattern is valid for a subscription. */
export function checkPattern(pattern: string): void {
  const tokens = pattern.split('.');
  const right = tokens.every(
    (token, i) => token === '*' || (token === '>' && i === tokens.length - 1) || TOKEN.test(token),
  );
  if (pattern.length > SUBJECT_CHARS || !right) {
    throw new InvalidRequest(
      `cannot subscribe to ${JSON.stringify(pattern.slice(0, 80))}: wildcards must be whole tokens, and ">" the last one`,
    );
  }
}

export function matches(pattern: string, subject: string): boolean {
  if (pattern === subject) return true;
  if (!pattern.includes('*') && !pattern.endsWith('>')) return false;
  const wanted = pattern.split('.');
  const given = subject.split('.');
  for (const [i, token] of wanted.entries()) {
    if (token === '>') return given.length > i;
    if (i >= given.length || (token !== '*' && token !== given[i])) return false;
  }
  return wanted.length === given.length;
}

/** Encodes any text as one token of a subject. Different texts give different tokens. */
export function subjectToken(text: string): string {
  return text === '' ? '=' : text.replace(/[^A-Za-z0-9_-]/gu, (char) => `=${char.codePointAt(0)?.toString(16)}=`);
}

/** The text of a token of `subjectToken`; null if `subjectToken` does not make such a token. */
export function tokenText(token: string): string | null {
  if (token === '=') return '';
  try {
    const text = token.replace(/=([0-9a-f]+)=/g, (_, code) => String.fromCodePoint(Number.parseInt(code, 16)));
    return subjectToken(text) === token ? text : null;
  } catch {
    return null;
  }
}
