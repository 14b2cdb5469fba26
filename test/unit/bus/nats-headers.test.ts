import { headers, type MsgHdrs } from '@nats-io/transport-node';
import { describe, expect, it } from 'vitest';
import { boundHeaders, type HeadersClass } from '../../../src/bus/nats-headers.js';

describe('headers from NATS', () => {
  const library = headers().constructor as unknown as HeadersClass<MsgHdrs>;
  boundHeaders(library);
  boundHeaders(library);
  const read = (text: string) => library.decode(Buffer.from(text, 'latin1'));

  it('are read as the library reads them', () => {
    const found = read('NATS/1.0 503 No Responders\r\nNats-Subject: a.b\r\n\r\n');
    expect([found.code, found.description, found.get('Nats-Subject')]).toEqual([503, 'No Responders', 'a.b']);
  });

  it('are read up to a number of lines', () => {
    const many = Array.from({ length: 10_000 }, (_, i) => `h${i}: x\r\n`).join('');
    const found = read(`NATS/1.0 404\r\n${many}\r\n`);
    expect([found.code, found.get('h0'), found.has('h9999')]).toEqual([404, 'x', false]);
    expect(found.keys().length).toBeLessThan(100);
  });

  it('are only their status if one cannot be read', () => {
    const found = read('NATS/1.0 503\r\nbad key: x\r\n\r\n');
    expect([found.code, found.keys()]).toEqual([503, []]);
    expect(read('\xff\0').keys()).toEqual([]);
  });
});
