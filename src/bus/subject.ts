import { InvalidRequest } from '../errors.js';

/**
 * Subjects are tokens joined by dots. A pattern may have `*` for one token, and `>` at its end for one or more.
 */

const TOKEN = /^[^\s.*>]+$/;
const SUBJECT = /^[^\s.*>]+(?:\.[^\s.*>]+)*$/;
const SUBJECT_CHARS = 1_024;

/** Throws InvalidRequest unless a message can be published to it. */
export function checkSubject(subject: string): void {
  if (subject.length > SUBJECT_CHARS || !SUBJECT.test(subject)) {
    throw new InvalidRequest(
      `cannot publish to the subject ${JSON.stringify(subject.slice(0, 80))}: tokens are joined by dots, without spaces or wildcards`,
    );
  }
}

/** Throws InvalidRequest unless it can be subscribed to. */
export function checkPattern(pattern: string): void {
  const tokens = pattern.split('.');
  const right = tokens.every(
    (token, i) => token === '*' || (token === '>' && i === tokens.length - 1) || TOKEN.test(token),
  );
  if (pattern.length > SUBJECT_CHARS || !right) {
    throw new InvalidRequest(
      `cannot subscribe to ${JSON.stringify(pattern.slice(0, 80))}: wildcards are whole tokens, and ">" stands last`,
    );
  }
}

export function matches(pattern: string, subject: string): boolean {
  if (pattern === subject) return true;
  const wanted = pattern.split('.');
  const given = subject.split('.');
  for (const [i, token] of wanted.entries()) {
    if (token === '>') return given.length > i;
    if (i >= given.length || (token !== '*' && token !== given[i])) return false;
  }
  return wanted.length === given.length;
}

/** Any text as one token of a subject. Different texts give different tokens. */
export function subjectToken(text: string): string {
  return text === '' ? '=' : text.replace(/[^A-Za-z0-9_-]/gu, (char) => `=${char.codePointAt(0)?.toString(16)}=`);
}
