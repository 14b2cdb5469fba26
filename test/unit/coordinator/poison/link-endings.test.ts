import { expect, it } from 'vitest';
import { LinkEndings } from '../../../../coordinator/poison/link-endings.js';
import { Unavailable, Unheard } from '../../../../src/errors.js';

it('tells a worker that closed its connection from one that fell silent', () => {
  const endings = new LinkEndings();
  const unclosed = () => endings.isUnclosed('w 1');
  // Without a connection, an end looks like silence too.
  expect(unclosed()).toBe(false);
  endings.opened('w', '1');
  expect(unclosed()).toBe(true);
  endings.ended('w', '1', new Unheard('nothing came from w'));
  expect(unclosed()).toBe(true);
  endings.opened('w', '1');
  endings.ended('w', '1', new Unavailable('the peer closed the connection'));
  expect([unclosed(), endings.isUnclosed('w 2')]).toEqual([false, false]);
  endings.opened('w', '1');
  expect(unclosed()).toBe(true);
});
