/** The location of bytes that other processes of the host can read: an open file of their owner. */
export interface SharedPlace {
  readonly fileDescriptor: number;
  /** Offset in the file, in bytes. */
  readonly offset: number;
}
