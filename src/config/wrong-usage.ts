/** The error for a missing or wrong flag, argument or variable. The message gives the allowed values; the exit code is 2. */
export class WrongUsage extends Error {
  override get name(): string {
    return 'WrongUsage';
  }
}
