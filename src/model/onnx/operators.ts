/** The properties of ONNX's operators that `token-flow` uses to follow tokens through a graph. */

/** Operators that compare element by element. */
const COMPARISONS = new Set('Greater GreaterOrEqual Less LessOrEqual Equal'.split(' '));

/** Operators that compute each element of the result from the elements at its place in the inputs. */
const ELEMENTWISE = new Set(
  [
    'Abs Acos Add And Asin Atan BitwiseAnd BitwiseNot BitwiseOr Cast CastLike Ceil Clip Cos Cosh DequantizeLinear Div Erf Exp Floor Identity If',
    'IsInf IsNaN Log Max Min Mod Mul Neg Not Or Pow Reciprocal Relu Round Sigmoid Sign Sin Sinh Sqrt Sub Sum Tan Tanh Where Xor',
  ].flatMap((line) => line.split(' ')),
);

/** Operators that arrange the elements of the first input, or of all inputs, anew. */
const ARRANGEMENTS = new Set('Reshape Flatten Unsqueeze Squeeze Transpose Expand Tile Concat Split Trilu'.split(' '));

/** Operators whose result is still a linear function of the number of tokens. */
const LINEAR = new Set('Cast CastLike Identity Add Sub Mul Neg Sum'.split(' '));

/** Operators of graphs that may stand between a sum of scores and their softmax. */
const BEFORE_SOFTMAX = new Set('Add Sub Where Cast Identity'.split(' '));

/** Operators that reduce axes. */
const REDUCTIONS = new Set(
  [
    'ReduceMax ReduceMin ReduceSum ReduceMean ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSumExp',
    'ReduceLogSum ArgMax ArgMin',
  ].flatMap((line) => line.split(' ')),
);

/** The inputs of operators that say how elements are arranged or chosen, and are not elements of the result. */
const ARRANGING: Readonly<Record<string, readonly number[]>> = {
  ...{ Reshape: [1], Expand: [1], Tile: [1], Pad: [1, 3], Split: [1], Unsqueeze: [1], Squeeze: [1], Resize: [1, 2, 3] },
  ...{ Gather: [1], GatherElements: [1], GatherND: [1], ScatterND: [1], ScatterElements: [1], Slice: [1, 2, 3, 4] },
  ...{ ConstantOfShape: [0], Trilu: [1], TopK: [1], OneHot: [1], CumSum: [1], CastLike: [1] },
  // The numbers of tokens of a batch.
  GroupQueryAttention: [5, 6],
  GatherBlockQuantized: [1],
};
const NONE: readonly number[] = [];

export function isComparison(opType: string): boolean {
  return COMPARISONS.has(opType);
}

export function isElementwise(opType: string): boolean {
  return ELEMENTWISE.has(opType) || COMPARISONS.has(opType);
}

export function isArrangement(opType: string): boolean {
  return ARRANGEMENTS.has(opType);
}

export function isLinear(opType: string): boolean {
  return LINEAR.has(opType);
}

export function standsBeforeSoftmax(opType: string): boolean {
  return BEFORE_SOFTMAX.has(opType);
}

/** Whether an operator makes indices of indices and lengths. */
export function keepsIndices(opType: string): boolean {
  return LINEAR.has(opType) || ARRANGEMENTS.has(opType) || opType === 'Gather' || opType === 'Slice';
}

export function isReduction(opType: string): boolean {
  return REDUCTIONS.has(opType);
}

/** Which inputs of an operator do not enter its numbers. */
export function exemptInputs(opType: string): readonly number[] {
  return ARRANGING[opType] ?? NONE;
}

/** The axes of a reduction, if they are constants. */
export type Axes = readonly number[] | 'all' | 'unknown';

/**
 * Whether a reduction of `[batch, tokens, ..]` appears to mix tokens. Extremes over an axis other than the last are taken to be the
 * range of a quantization; sums over inner axes may also be over heads or experts.
 * @param isFlat whether the tensor has a single axis
 */
export function mixesTokens(opType: string, axes: Axes, isFlat: boolean): boolean {
  const isExtreme = opType === 'ReduceMax' || opType === 'ReduceMin';
  if (isFlat || axes === 'all') return true;
  if (axes === 'unknown') return isExtreme;
  return axes.includes(0) || (isExtreme && axes.some((axis) => axis === 1 || axis === -2));
}
