/** The last lines of a child's output, up to a bound. */
export class OutputTail {
  private readonly lines: string[] = [];
  private chars = 0;

  constructor(private readonly maxChars: number) {}

  add(line: string): void {
    const kept = line.slice(0, this.maxChars);
    this.lines.push(kept);
    this.chars += kept.length;
    while (this.chars > this.maxChars) this.chars -= this.lines.shift()!.length;
  }

  /** The line that most likely explains the end of the child: its last logged error, else Node's own report, else the last line. */
  likelyCause(): string | null {
    const newestFirst = this.lines.filter((line) => line.trim() !== '').reverse();
    for (const line of newestFirst) {
      const logged = loggedError(line);
      if (logged !== null) return logged;
    }
    const report = newestFirst.find((line) => /^(Uncaught )?([A-Z]\w*)?(Error|Exception)\b.*:/.test(line));
    const plain = newestFirst.filter((line) => !line.startsWith('{') && !/^Node\.js v/.test(line));
    return report ?? plain[0] ?? null;
  }
}

/** pino's numeric level for errors. */
const ERROR_LEVEL = 50;

function loggedError(line: string): string | null {
  if (!line.startsWith('{')) return null;
  try {
    const record: unknown = JSON.parse(line);
    if (typeof record !== 'object' || record === null || !('level' in record) || !('msg' in record)) return null;
    const { level, msg } = record;
    const error = typeof level === 'number' ? level >= ERROR_LEVEL : level === 'error' || level === 'fatal';
    return error && typeof msg === 'string' ? msg : null;
  } catch {
    return null;
  }
}
