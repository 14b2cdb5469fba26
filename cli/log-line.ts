/** A line of a log for a person who reads it on a terminal; other programs get the line as it is. */

/** Fields that name the process of a line. */
const WHO = ['worker', 'coordinator', 'node', 'role'] as const;
/** Fields that a person does not need beside the others. */
const LEFT_OUT = new Set<string>([...WHO, 'level', 'time', 'msg']);

/** `worker-1: warn: what happened (field: value, …)`. A line that is not one of a log stays as it is. */
export function readableLine(line: string): string {
  const fields = fieldsOf(line);
  if (fields === null || typeof fields.msg !== 'string') return line;
  const who = WHO.map((name) => fields[name]).find((value) => typeof value === 'string');
  const details = Object.entries(fields)
    .filter(([name]) => !LEFT_OUT.has(name))
    .map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const rest = details.length === 0 ? '' : ` (${details.join(', ')})`;
  return `${who ?? 'shoal'}: ${String(fields.level)}: ${fields.msg}${rest}`;
}

function fieldsOf(line: string): Readonly<Record<string, unknown>> | null {
  if (!line.startsWith('{')) return null;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return null;
  }
}
