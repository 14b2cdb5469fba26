/** A flag, argument or environment variable is missing or wrong. The message names it and what it may be; the program exits with 2. */
export class WrongUsage extends Error {
  override get name(): string {
    return 'WrongUsage';
  }
}
