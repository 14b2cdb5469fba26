import type { HttpConfig } from '../../src/config/http-config.js';

/** The HTTP settings of coordinators and workers that tests compose by hand. */
export const PLAIN_HTTP: HttpConfig = {
  allowedHosts: [],
  allowedOrigins: [],
  bodyBudgetBytes: 2 ** 26,
  tls: null,
  socketPath: null,
  shutdownMs: 8_000,
};
