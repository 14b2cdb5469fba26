/** Memory that all sequences of an engine use in turn, for one token each. */
export class SamplingScratch {
  static readonly BUCKETS = 1024;
  readonly logits: Float32Array;
  /** By token id. */
  readonly weights: Float64Array;
  /** Candidates, in ascending order. */
  readonly ids: Int32Array;
  /** Those of them among which the edge of a set lies. */
  readonly edge: Int32Array;
  readonly amounts = new Float64Array(SamplingScratch.BUCKETS);

  constructor(readonly vocab: number) {
    this.logits = new Float32Array(vocab);
    this.weights = new Float64Array(vocab);
    this.ids = new Int32Array(vocab);
    this.edge = new Int32Array(vocab);
  }
}
