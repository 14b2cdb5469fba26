/** The machinery of a fleet, and its prices. */

export interface Machinery {
  readonly workers: number;
  /** Memory for blocks of each worker. */
  readonly cacheBytes: number;
  readonly kvBytesPerToken: number;
  readonly prefillTokensPerS: number;
  readonly decodeTokensPerS: number;
  readonly networkBytesPerS: number;
}

/** In one currency. */
export interface Prices {
  readonly gpuHour: number;
  /** Of memory that is bought for blocks. 0 where the memory exists anyway. */
  readonly gibMonth: number;
  /** Of traffic between workers. */
  readonly networkGib: number;
}

export const GIB = 2 ** 30;
export const HOURS_PER_MONTH = 730;
export const SECONDS_PER_MONTH = HOURS_PER_MONTH * 3_600;
