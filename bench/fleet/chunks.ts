export interface Chunk {
  readonly choices: readonly { readonly text: string }[];
}

/** The pieces of a streamed answer. Throws the error that ends the stream. */
export async function* chunksOf(response: Response): AsyncGenerator<Chunk> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of response.body!) {
    rest += decoder.decode(bytes, { stream: true });
    const events = rest.split('\n\n');
    rest = events.pop()!;
    for (const event of events) {
      const data = event.replace(/^data: /, '');
      if (data === '[DONE]') continue;
      const said = JSON.parse(data) as Chunk | { readonly error: { readonly message: string } };
      if ('error' in said) throw new Error(said.error.message);
      yield said;
    }
  }
}
