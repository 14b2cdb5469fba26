/** Reads streamed answers. */

export interface Chunk {
  readonly choices: readonly { readonly text: string }[];
}

/** The JSON texts of a stream of server-sent events, without the mark of its end. */
export async function* eventsOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of body) {
    rest += decoder.decode(bytes, { stream: true });
    const events = rest.split('\n\n');
    rest = events.pop()!;
    for (const event of events) {
      const data = event.replace(/^data: /, '');
      if (data.startsWith('{')) yield data;
    }
  }
}

/** The pieces of a streamed answer. Throws the error that ends the stream. */
export async function* chunksOf(response: Response): AsyncGenerator<Chunk> {
  for await (const data of eventsOf(response.body!)) {
    const said = JSON.parse(data) as Chunk | { readonly error: { readonly message: string } };
    if ('error' in said) throw new Error(said.error.message);
    yield said;
  }
}
