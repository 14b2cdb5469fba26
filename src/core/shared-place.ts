/** Where bytes lie that other processes of the host may read: in an open file of the process that has them. */
export interface SharedPlace {
  readonly fileDescriptor: number;
  /** In bytes, from the file's beginning. */
  readonly offset: number;
}
