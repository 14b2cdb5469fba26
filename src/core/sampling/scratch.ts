/** Temporary memory for choosing one token, shared by all sequences of an engine. */
export class SamplingScratch {
  static readonly BUCKETS = 1024;
  readonly logits: Float32Array;
  /** Indexed by token id. */
  readonly weights: Float64Array;
  /** Candidate token ids, in ascending order. */
  readonly ids: Int32Array;
  /** The candidates in the bucket in which a set ends. */
  readonly edge: Int32Array;
  /** The count or weight of each histogram bucket. */
  readonly amounts = new Float64Array(SamplingScratch.BUCKETS);

  constructor(readonly vocab: number) {
    this.logits = new Float32Array(vocab);
    this.weights = new Float64Array(vocab);
    this.ids = new Int32Array(vocab);
    this.edge = new Int32Array(vocab);
  }
}
