/** A promise that is resolved or rejected from outside, once. */
export class Deferred<T> {
  readonly promise: Promise<T>;
  resolve!: (value: T) => void;
  reject!: (error: unknown) => void;

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // A rejection that is never awaited must not end the process as an unhandled rejection.
    this.promise.catch(() => {});
  }
}
