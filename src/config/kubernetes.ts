import type { OptionTable } from './option.js';
import type { EnvironmentVariables } from './read-options.js';

/**
 * The variables that Kubernetes sets in every container for each Service of its namespace, named after the Service. For a Service called `shoal`,
 * `SHOAL_PORT` is `tcp://10.96.0.12:8080`; for one called `shoal-metrics`, `SHOAL_METRICS_PORT` has such a value.
 */

/** The value of the variable that ends in `_PORT`: protocol, the Service's address, port. */
const SERVICE_URL = /^(tcp|udp|sctp):\/\/(\d{1,3}(\.\d{1,3}){3}|\[[\da-f:.]+\]|[\da-f:.]+):\d{1,5}$/i;
/** Names of the accompanying variables, such as `SHOAL_SERVICE_PORT_HTTP` and `SHOAL_PORT_8080_TCP_ADDR`. */
const BESIDE =
  /^SHOAL(_[A-Z0-9]+)*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;

/** The variables of options that Kubernetes has set, with their values. A value of any other form is the user's. */
export function serviceVariables(table: OptionTable, environment: EnvironmentVariables): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { variable } of Object.values(table)) {
    const value = environment[variable];
    if (variable.endsWith('_PORT') && value !== undefined && SERVICE_URL.test(value.trim())) found[variable] = value;
  }
  return found;
}

/** Whether a variable of no option is one that Kubernetes sets for a Service. */
export function isServiceVariable(name: string, environment: EnvironmentVariables): boolean {
  return BESIDE.test(name) || (name.endsWith('_PORT') && SERVICE_URL.test(environment[name]?.trim() ?? ''));
}
