/** Reads server-sent events from pieces of text that may end anywhere. */
export class SseReader {
  private rest = '';

  /** The data of the events that this piece completes. */
  push(piece: string): string[] {
    const parts = (this.rest + piece).split('\n\n');
    this.rest = parts.pop() ?? '';
    return parts.flatMap((event) => {
      const lines = event.split('\n').filter((line) => line.startsWith('data:'));
      return lines.length === 0 ? [] : [lines.map((line) => line.slice(5).replace(/^ /, '')).join('\n')];
    });
  }
}
