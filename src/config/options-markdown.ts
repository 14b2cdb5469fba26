import type { OptionTable } from './option.js';
import { OPTIONS } from './options.js';

/** Renders the table of options for docs/OPTIONS.md. */

const HEAD = '| flag | variable | default | commands | meaning |\n| --- | --- | --- | --- | --- |';

const RELOADED = {
  value: 'Read again at SIGHUP.',
  file: 'The file is read again when it changes, and at SIGHUP.',
} as const;

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** The table as Markdown. It stands between the markers `<!-- options -->` and `<!-- /options -->`. */
export function optionsMarkdown(table: OptionTable = OPTIONS): string {
  const rows = Object.values(table).map((spec) => {
    const flag =
      spec.flag === null ? '' : `\`--${spec.flag}${spec.placeholder === null ? '' : ` ${spec.placeholder}`}\``;
    const preset = spec.defaultNote ?? (spec.default === null ? '' : `\`${spec.default}\``);
    const unit = spec.unit === undefined || spec.unit === 'bytes' || preset === '' ? '' : ` ${spec.unit}`;
    const meaning = spec.reload === undefined ? spec.help : `${spec.help} ${RELOADED[spec.reload]}`;
    const cells = [flag, `\`${spec.variable}\``, `${preset}${unit}`, spec.commands.join(', '), meaning];
    return `| ${cells.map(cell).join(' | ')} |`;
  });
  return [HEAD, ...rows].join('\n');
}
