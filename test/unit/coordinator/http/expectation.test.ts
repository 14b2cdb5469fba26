import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { testServer } from '../support/test-server.js';

const KEY = 'a-key-that-is-long-enough';
const BODY = JSON.stringify({ prompt: 'x', max_tokens: 1 });

/** Sends the head of a completion, and its body once it is asked for. Resolves with all that came when the server has closed the connection, or answered. */
async function expecting(
  url: string,
  ...headers: string[]
): Promise<{ said: string; sentBody: boolean; closed: boolean }> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const head = ['POST /v1/completions HTTP/1.1', 'host: localhost', 'content-type: application/json'];
  socket.write([...head, `content-length: ${BODY.length}`, 'expect: 100-continue', ...headers, '', ''].join('\r\n'));
  let [said, sentBody] = ['', false];
  return await new Promise((resolve) => {
    const done = (closed: boolean) => {
      socket.destroy();
      resolve({ said, sentBody, closed });
    };
    socket.on('close', () => done(true));
    socket.on('data', (bytes) => {
      said += bytes;
      if (said.includes('100 Continue') && !sentBody) {
        sentBody = true;
        socket.write(BODY);
      }
      if (sentBody && said.includes('"usage"')) done(false);
    });
  });
}

describe('a client that waits before it sends a body', () => {
  it('is asked for the body when the head of its request is accepted', async () => {
    const { url } = await testServer({ apiKeys: [KEY] });
    const { said, sentBody } = await expecting(url, `authorization: Bearer ${KEY}`);
    expect(said).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK/);
    expect(sentBody).toBe(true);
  });

  it('is not asked for it without a key, or on a page of another site, and its connection ends', async () => {
    const { url } = await testServer({ apiKeys: [KEY] });
    expect(await expecting(url)).toMatchObject({
      sentBody: false,
      closed: true,
      said: expect.stringMatching(/^HTTP\/1.1 401 /),
    });
    const wrong = await expecting(url, `authorization: Bearer ${KEY}`, 'origin: http://evil.example');
    expect(wrong).toMatchObject({ sentBody: false, closed: true, said: expect.stringMatching(/^HTTP\/1.1 403 /) });
  });
});
